package vault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/privacy"
)

// TestRecordVectors are the examples of docs/spec/record.md.
func TestRecordVectors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		record Record
		want   string
	}{
		"empty": {Record{}, "010000"},
		"one": {
			Record{"city": {Values: plain("Brno"), Source: Declared, Quality: Verified, ObservedAt: time.Date(1900, 1, 2, 0, 0, 0, 0, time.UTC)}},
			"01" + "01" + "01" + "04" + "63697479" + "01" + "01" + "02" + "01" + "04" + "42726e6f",
		},
		"two, in order of names": {
			Record{
				"b": {Values: plain("", "ş"), Source: Imported, Quality: Disputed},
				"a": {Values: plain("x"), Source: Inferred, Quality: Unverified, ObservedAt: time.Date(2026, 3, 4, 23, 59, 59, 0, time.UTC)},
			},
			"01" + "02" + "03" +
				"01" + "61" + "03" + "02" + "84e802" + "01" + "01" + "78" +
				"01" + "62" + "05" + "03" + "00" + "02" + "00" + "02" + "c59f",
		},
	}
	for name, test := range tests {
		got, err := EncodeRecord(test.record)
		if err != nil || hex.EncodeToString(got) != test.want {
			t.Errorf("%s: encoded %x, %v, want %s", name, got, err, test.want)
		}
		bytes, _ := hex.DecodeString(test.want)
		if _, err := DecodeRecord(bytes); err != nil {
			t.Errorf("%s: decoding: %v", name, err)
		}
	}
}

func TestEventVectors(t *testing.T) {
	t.Parallel()
	events := []Event{
		{Type: "view", At: time.UnixMilli(-1).UTC(), Fields: map[privacy.AttributeName]privacy.Plain{}},
		{Type: "buy", At: time.UnixMilli(1000).UTC(), Fields: map[privacy.AttributeName]privacy.Plain{"p": privacy.NewPlain("q"), "a": privacy.NewPlain("")}},
	}
	want := "01" + "04" + "76696577" + "01" + "00" +
		"03" + "627579" + "d00f" + "02" + "01" + "61" + "00" + "01" + "70" + "01" + "71"
	got, err := EncodeEvents(events)
	if err != nil || hex.EncodeToString(got) != want {
		t.Errorf("encoded %x, %v, want %s", got, err, want)
	}
	back, err := DecodeEvents(got)
	if diff := cmp.Diff(events, back, plains); diff != "" || err != nil {
		t.Errorf("decoding: %v (-want +got):\n%s", err, diff)
	}
	// Appending is concatenation: nothing before is touched.
	one, _ := EncodeEvents(events[:1])
	two, _ := EncodeEvents(events[1:])
	if joined := append(bytes.Clone(one), two[1:]...); !bytes.Equal(joined, got) {
		t.Errorf("appending gives %x, want %x", joined, got)
	}
}

func TestRecordsComeBack(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		record := randomRecord(random)
		encoded, err := EncodeRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeRecord(encoded)
		if diff := cmp.Diff(record, got, plains); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		for i := range encoded { // every beginning is refused
			if _, err := DecodeRecord(encoded[:i]); !errors.Is(err, privacy.ErrDamaged) {
				t.Fatalf("the first %d of %d bytes decode: %v", i, len(encoded), err)
			}
		}
	}
}

func randomRecord(random *rand.Rand) Record {
	record := Record{}
	for range random.IntN(8) {
		var field Field
		for range 1 + random.IntN(4) {
			field.Values = append(field.Values, privacy.NewPlain(strings.Repeat("şé漢x", random.IntN(12))))
		}
		field.Source = sources[1+random.IntN(len(sources)-1)]
		field.Quality = qualities[1+random.IntN(len(qualities)-1)]
		if random.IntN(3) > 0 {
			field.ObservedAt = firstDay.AddDate(0, 0, random.IntN(80000))
		}
		record[privacy.AttributeName(fmt.Sprintf("attribute_%d", random.IntN(1000)))] = field
	}
	return record
}

func TestEncodingRefusesWhatCannotBeKept(t *testing.T) {
	t.Parallel()
	good := Field{Values: plain("x"), Source: Declared, Quality: Verified}
	with := func(change func(*Field)) Record {
		field := good
		change(&field)
		return Record{"a": field}
	}
	many := Record{}
	for i := range MaxFields + 1 {
		many[privacy.AttributeName(fmt.Sprint(i))] = good
	}
	records := map[string]Record{
		"no value":        with(func(f *Field) { f.Values = nil }),
		"no source":       with(func(f *Field) { f.Source = "" }),
		"unknown source":  with(func(f *Field) { f.Source = "guessed" }),
		"unknown quality": with(func(f *Field) { f.Quality = "good" }),
		"before 1900":     with(func(f *Field) { f.ObservedAt = time.Date(1899, 12, 31, 0, 0, 0, 0, time.UTC) }),
		"far future":      with(func(f *Field) { f.ObservedAt = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC) }),
		"not UTF-8":       with(func(f *Field) { f.Values = plain("\xff") }),
		"too long":        with(func(f *Field) { f.Values = plain(strings.Repeat("x", MaxPlaintext)) }),
		"empty name":      {"": good},
		"long name":       {privacy.AttributeName(strings.Repeat("x", MaxName+1)): good},
		"name not UTF-8":  {"\xff": good},
		"too many":        many,
	}
	for name, record := range records {
		if _, err := EncodeRecord(record); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("record with %s: %v, want ErrInvalid", name, err)
		}
	}
	events := map[string][]Event{
		"none":      nil,
		"too many":  sampleEvents(MaxChunkEvents + 1),
		"no type":   {{At: time.Now()}},
		"too early": {{Type: "x", At: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"too late":  {{Type: "x", At: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"too long":  {{Type: "x", At: time.Now(), Fields: map[privacy.AttributeName]privacy.Plain{"a": privacy.NewPlain(strings.Repeat("x", MaxPlaintext))}}},
	}
	for name, list := range events {
		if _, err := EncodeEvents(list); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("events %s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestDecodingIsStrict(t *testing.T) {
	t.Parallel()
	records := map[string]string{
		"nothing":              "",
		"version 0":            "000000",
		"version 2":            "020000",
		"trailing byte":        "01000000",
		"names out of order":   "0102020162010100010001610101000100",
		"name twice":           "0102020161010100010001610101000100",
		"empty name":           "010101000101000100",
		"source 0":             "01010101610001000100",
		"source 6":             "01010101610601000100",
		"quality 0":            "01010101610100000100",
		"quality 4":            "01010101610104000100",
		"no values":            "01010001610101000000",
		"fewer values":         "0101020161010100010000",
		"more values":          "010101016101010002000000",
		"long zero":            "01800000",
		"long count of values": "01008000",
		"long day":             "0101010161010182000178",
		"long length of value": "01010101610101000181" + "0078",
		"huge count":           "01ffffffffffffffffff01",
		"not UTF-8":            "010101016101010001" + "01ff",
		"late day":             "01010101610101ffffffff0f0100",
	}
	for name, text := range records {
		encoded, err := hex.DecodeString(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := DecodeRecord(encoded); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
	chunk, _ := EncodeEvents(sampleEvents(MaxChunkEvents))
	one, _ := EncodeEvents(sampleEvents(1))
	for name, encoded := range map[string][]byte{
		"nothing": {}, "no event": {1}, "version 2": append([]byte{2}, one[1:]...),
		"name twice":         unhex(t, "010176"+"00"+"02"+"016100"+"016100"),
		"names out of order": unhex(t, "010176"+"00"+"02"+"016200"+"016100"),
		"no type":            unhex(t, "0100"+"00"+"00"),
		"too late":           unhex(t, "010176"+"feffffffffffffffff01"+"00"),
		"65 events":          append(chunk, one[1:]...), "cut": one[:len(one)-1],
	} {
		if _, err := DecodeEvents(encoded); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
}

// FuzzDecodeRecord: what decodes encodes to the same bytes, so that there is one
// encoding of each record, and nothing makes the decoder panic or eat memory.
func FuzzDecodeRecord(f *testing.F) {
	sample, _ := EncodeRecord(sampleRecord())
	for _, seed := range [][]byte{nil, {1}, {1, 0, 0}, sample} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		record, err := DecodeRecord(encoded)
		if err != nil {
			if !errors.Is(err, privacy.ErrDamaged) || record != nil {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := EncodeRecord(record)
		if err != nil || !bytes.Equal(again, encoded) {
			t.Fatalf("%x encodes again as %x, %v", encoded, again, err)
		}
	})
}

func FuzzDecodeEvents(f *testing.F) {
	sample, _ := EncodeEvents(sampleEvents(3))
	for _, seed := range [][]byte{nil, {1}, sample} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		events, err := DecodeEvents(encoded)
		if err != nil {
			if !errors.Is(err, privacy.ErrDamaged) || events != nil {
				t.Fatalf("%v", err)
			}
			return
		}
		views, err := decodeViews(nil, encoded)
		if err != nil || len(views) != len(events) {
			t.Fatalf("%d views of %d events, %v", len(views), len(events), err)
		}
		for i, event := range events {
			if views[i].Type != event.Type || !views[i].At.Equal(event.At) || views[i].Value("no such attribute") != (privacy.Plain{}) {
				t.Fatal("a view differs from its event")
			}
			for name, value := range event.Fields {
				if views[i].Value(name) != value {
					t.Fatalf("the view of attribute %q differs", name)
				}
			}
		}
		again, err := EncodeEvents(events)
		if err != nil || !bytes.Equal(again, encoded) {
			t.Fatalf("%x encodes again as %x, %v", encoded, again, err)
		}
	})
}
