package gpp_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/consent/signal/bits"
	"github.com/mahrem/mahrem/consent/signal/gpp"
)

// The examples of the specification. Their European section has no list of disclosed
// vendors, so that section does not count; it does not take the others with it.
func TestDecodeExamples(t *testing.T) {
	t.Parallel()
	const europe = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"
	tests := []struct{ text, want string }{
		{"DBABM~" + europe, "2 tcfeuv2 policy_version;"},
		{"DBACNY~" + europe + "~1YNN", "2 tcfeuv2 policy_version; 6 uspv1 <nil>;"},
		{"DBABjw~" + europe + "~1YNN", "5 tcfcav1 version; 6 uspv1 <nil>;"},
		{"DBABMA~" + europe, "2 tcfeuv2 policy_version;"},
		{"DBABTA~1YYN", "6 uspv1 <nil>;"},
		{"DBAA", ""},
		{
			"DBACOYs~CPSG_8APSG_8AAAAAAENAACAAAAAAAAAAAAAAAAAAAAA.QAAA.IAAA~BPSG_8APSG_8AAAAAAENAACAAAAAAAAAAAAAAAAAAA.YAAAAAAAAAA~1---~BAAAAAAAAABA.QA~BAAAAABA.QA~BAAAABA~BAAAAEA.QA~BAAAAAQA~BAAAAAEA.QA~BAAAAABA~BAAAAABA.QA~BAAAAAABAA.QA~BAAAAAQA.QA~BAAAAAABAA.QA~BAAAAAQA.QA~BAAAAAQA.QA~BAAAAABA.QA~BAAAAAAAQA.QA~BAAAAAQA.QA~BAAAAAQA.QA",
			"2 tcfeuv2 policy_version; 5 tcfcav1 <nil>; 6 uspv1 <nil>; 7 usnat <nil>; 8 usca <nil>; 9 usva <nil>; 10 usco <nil>; 11 usut <nil>; 12 usct <nil>; 13 usfl <nil>; 14 usmt <nil>; 15 usor <nil>; 16 ustx <nil>; 17 usde <nil>; 18 usia <nil>; 19 usne <nil>; 20 usnh <nil>; 21 usnj <nil>; 22 ustn <nil>; 23 usmn <nil>;",
		},
	}
	for _, test := range tests {
		s, err := gpp.Decode(test.text)
		if err != nil {
			t.Errorf("%.12s: %v", test.text, err)
			continue
		}
		var got strings.Builder
		for _, section := range s.Sections {
			fmt.Fprintf(&got, " %d %s %v;", section.ID, section.Name, section.Err)
		}
		if strings.TrimSpace(got.String()) != test.want {
			t.Errorf("%.12s:\n got %s\nwant %s", test.text, got.String(), test.want)
		}
	}
}

// Every section of a state as the reference implementation writes it: all notices and opt-outs
// one, sensitive data 2 1 0 and so on.
func TestSections(t *testing.T) {
	t.Parallel()
	const (
		sharing   = "SharingNotice:1 SaleOptOutNotice:1 TargetedAdvertisingOptOutNotice:1 SaleOptOut:1 TargetedAdvertisingOptOut:1 "
		process   = "ProcessingNotice:1 SaleOptOutNotice:1 TargetedAdvertisingOptOutNotice:1 SaleOptOut:1 TargetedAdvertisingOptOut:1 "
		eight     = "SensitiveDataProcessing:2,1,0,2,1,0,2,1 KnownChildSensitiveDataConsents:"
		mspa      = " MspaCoveredTransaction:1 MspaOptOutOptionMode:1 MspaServiceProviderMode:2"
		more      = " AdditionalDataProcessingConsent:1" + mspa
		withGPC   = ".YA"
		nationals = "SharingNotice:1 SaleOptOutNotice:1 SharingOptOutNotice:1 TargetedAdvertisingOptOutNotice:1 SensitiveDataProcessingOptOutNotice:1 SensitiveDataLimitUseNotice:1 SaleOptOut:1 SharingOptOut:1 TargetedAdvertisingOptOut:1 "
	)
	tests := []struct {
		header, text string
		gpc          bool
		want         string
	}{
		{"DBABL", "BVVVkkkkkpFY", true, nationals + "SensitiveDataProcessing:2,1,0,2,1,0,2,1,0,2,1,0,2,1,0,2 KnownChildSensitiveDataConsents:2,1,0 PersonalDataConsents:1" + mspa},
		{"DBABBg", "BVWSSSVY", true, "SaleOptOutNotice:1 SharingOptOutNotice:1 SensitiveDataLimitUseNotice:1 SaleOptOut:1 SharingOptOut:1 SensitiveDataProcessing:2,1,0,2,1,0,2,1,0 KnownChildSensitiveDataConsents:2,1 PersonalDataConsents:1" + mspa},
		{"DBABRg", "BVWSSVY", false, sharing + eight + "1" + mspa},
		{"DBABJg", "BVWSSVg", true, sharing + "SensitiveDataProcessing:2,1,0,2,1,0,2 KnownChildSensitiveDataConsents:1" + mspa},
		{"DBABFg", "BVVkklWA", false, "SharingNotice:1 SaleOptOutNotice:1 TargetedAdvertisingOptOutNotice:1 SensitiveDataProcessingOptOutNotice:1 SaleOptOut:1 TargetedAdvertisingOptOut:1 SensitiveDataProcessing:2,1,0,2,1,0,2,1 KnownChildSensitiveDataConsents:1" + mspa},
		{"DBABVg", "BVWSSZFg", true, sharing + "SensitiveDataProcessing:2,1,0,2,1,0,2,1 KnownChildSensitiveDataConsents:2,1,0" + mspa},
		{"DBABAw", "BVWSSZlY", false, ""},
		{"DBABQw", "BVWSSZFY", true, sharing + eight + "2,1,0" + more},
		{"DBABIw", "BVWSSRpFYA", true, ""},
		{"DBABEw", "BVWSSVWA", true, process + eight + "1" + more},
		{"DBABUw", "BVWSSSSVYA", true, ""},
		{"DBABCw", "BVVkklWA", true, "ProcessingNotice:1 SaleOptOutNotice:1 TargetedAdvertisingOptOutNotice:1 SensitiveDataOptOutNotice:1 SaleOptOut:1 TargetedAdvertisingOptOut:1 SensitiveDataProcessing:2,1,0,2,1,0,2,1 KnownChildSensitiveDataConsents:1" + mspa},
		{"DBABSw", "BVWSSVWA", true, process + eight + "1" + more},
		{"DBABKw", "BVWSSZFY", true, process + eight + "2,1,0" + more},
		{"DBABAY", "BVWSSRklWA", true, ""},
		{"DBABQY", "BVWSSVWA", true, process + eight + "1" + more},
		{"DBABIY", "BVWSSVWA", true, process + eight + "1" + more},
	}
	for i, test := range tests {
		id := 7 + i
		for _, tail := range []string{"", withGPC} {
			s, err := gpp.Decode(test.header + "~" + test.text + tail)
			if err != nil || len(s.Sections) != 1 || s.Sections[0].ID != id {
				t.Fatalf("section %d: %v %+v", id, err, s)
			}
			section := s.Sections[0]
			if tail != "" && !test.gpc {
				if section.Err == nil {
					t.Errorf("section %d has a segment that it cannot have", id)
				}
				continue
			}
			if section.Err != nil || section.GPC != (tail != "") {
				t.Errorf("section %d: %v, browser's signal %v", id, section.Err, section.GPC)
			}
			var got []string
			for _, f := range section.Fields {
				got = append(got, f.Name+":"+strings.ReplaceAll(strings.Trim(fmt.Sprint(f.Values), "[]"), " ", ","))
			}
			if test.want != "" && strings.Join(got, " ") != test.want {
				t.Errorf("section %d:\n got %s\nwant %s", id, strings.Join(got, " "), test.want)
			}
			if !strings.HasSuffix(strings.Join(got, " "), strings.TrimSpace(mspa)) {
				t.Errorf("section %d ends with %v", id, got[len(got)-3:])
			}
			if !section.OptedOut(gpp.SaleOptOut) || section.OptedOut("SharingNotices") {
				t.Errorf("section %d: opt-out", id)
			}
		}
	}
}

func TestOptedOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text, field string
		want        bool
	}{
		{"DBABTA~1YYN", gpp.SaleOptOut, true},
		{"DBABTA~1YNN", gpp.SaleOptOut, false},
		{"DBABTA~1---", gpp.SaleOptOut, false},
		{"DBABTA~1YYN", gpp.SharingOptOut, false},
		{"DBABLA~BVQqAAAAAgA.QA", gpp.SaleOptOut, false}, // did not opt out
		{"DBABLA~BVQqAAAACg", gpp.SharingOptOut, false},  // twelve kinds of sensitive data, as it once was
		{"DBABL~BAAV", gpp.SaleOptOut, false},
	}
	for _, test := range tests {
		s, err := gpp.Decode(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if test.text != "DBABL~BAAV" && s.Sections[0].Err != nil {
			t.Errorf("%s: %v", test.text, s.Sections[0].Err)
		}
		if got := s.Sections[0].OptedOut(test.field); got != test.want {
			t.Errorf("%s: %s %v", test.text, test.field, got)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"": bits.Empty, "~": bits.Empty, "CPXxRfA": gpp.Header, "DCABM~x": gpp.Header, "DBABM": gpp.SectionCount, "DBABM~a~b": gpp.SectionCount,
		"DBACNY~1YNN": gpp.SectionCount, "DB BM~a": bits.Alphabet, "DBAB": bits.Truncated, "DBABN_~a": bits.Trailing, "DBA": bits.Truncated,
		strings.Repeat("D", gpp.MaxLength+1): bits.TooLong, "DBAB5Qw": gpp.SectionCount,
	} {
		if _, err := gpp.Decode(text); !errors.Is(err, want) {
			t.Errorf("%.20q: %v, want %v", text, err, want)
		}
	}
	for text, want := range map[string]error{
		"DBABTA~2YYN": gpp.SectionVersion, "DBABTA~1YYn": gpp.Value, "DBABTA~1YY": bits.Truncated, "DBABTA~1YYNN": bits.Truncated,
		"DBABL~CVVVkkkkkpFY": nil, "DBABL~DVVVkkkkkpFY": gpp.SectionVersion, "DBABL~BVVVkkkkk": bits.Truncated, "DBABL~B_VVkkkkkpFY": gpp.Value,
		"DBABL~BVVVkkkkkpFY.YA.YA": gpp.Value, "DBABL~BVVVkkkkkpFY.AA": gpp.Value, "DBABL~BVVVkkkkkpFY.": bits.Empty, "DBABL~BVVVkkkkkpFZ": bits.Trailing,
		"DBABL~BVVVkkkkkpF=": bits.Alphabet, "DBABBg~CVWSSSVY": gpp.SectionVersion, "DBABY~x": gpp.SectionUnknown, "DBABKY~x": gpp.SectionUnknown, "DBABEY~x": gpp.SectionUnfinished,
	} {
		s, err := gpp.Decode(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := s.Sections[0]; !errors.Is(got.Err, want) || want != nil && (got.Fields != nil || got.GPC || got.TCF != nil) {
			t.Errorf("%s: section %d %v, want %v", text, got.ID, got.Err, want)
		}
	}
}

func ExampleDecode() {
	s, err := gpp.Decode("DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YYN")
	fmt.Println(err)
	for _, section := range s.Sections {
		fmt.Println(section.Name, section.Err, section.OptedOut(gpp.SaleOptOut))
	}
	// Output:
	// <nil>
	// tcfeuv2 policy_version false
	// uspv1 <nil> true
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"DBABM~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", "DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN", "DBABjw~x~1YNN",
		"DBABL~BVVVkkkkkpFY.YA", "DBABBg~BVWSSSVY.YA", "DBABLA~BVQqAAAACg", "DBABTA~1YYN", "DBAA",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := gpp.Decode(text)
		if (s == nil) == (err == nil) {
			t.Fatal("neither a string nor an error, or both")
		}
		if err != nil {
			return
		}
		if len(s.Sections) != strings.Count(text, "~") {
			t.Fatal("sections were lost")
		}
		for i, section := range s.Sections {
			if i > 0 && section.ID <= s.Sections[i-1].ID {
				t.Fatal("sections are not in order")
			}
			var fault bits.Fault
			if section.Err != nil && !errors.As(section.Err, &fault) {
				t.Fatal(section.Err)
			}
			if section.Err == nil && section.TCF == nil && len(section.Fields) == 0 {
				t.Fatal("understood, and nothing is said")
			}
			for _, f := range section.Fields {
				for _, value := range f.Values {
					if value < 0 || value > 2 {
						t.Fatal(f)
					}
				}
			}
		}
	})
}
