package iys_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/privacy"
)

const header = "creationDate,transactionId,recipient,recipientType,type,status,consentDate,source\n"

type row struct {
	Kind, As, Status, Source, Recipient, At, Created, ID string
}

func rowOf(m iys.Movement) row {
	r := row{string(m.Type), string(m.RecipientType), string(m.Status), string(m.Source), m.Recipient.RevealPersonalData(), "", "", m.TransactionID}
	if !m.At.IsZero() {
		r.At = m.At.Format(time.RFC3339)
	}
	if !m.CreatedAt.IsZero() {
		r.Created = m.CreatedAt.Format(time.RFC3339)
	}
	return r
}

// readAll reads a file to its end.
func readAll(text string) (rows []row, reasons []iys.Reason, err error) {
	f, err := iys.NewFileReader(strings.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	for {
		m, reason, err := f.Next()
		switch {
		case errors.Is(err, io.EOF):
			return rows, reasons, nil
		case err != nil:
			return nil, nil, err
		case reason != "":
			reasons = append(reasons, reason)
		default:
			rows = append(rows, rowOf(m))
		}
	}
}

func TestFileReaderReadsTheDocumentedFile(t *testing.T) {
	t.Parallel()
	want := []row{
		{"EPOSTA", "BIREYSEL", "ONAY", "HS_WEB", "ornek@mail.com", "2017-06-28T19:39:28+03:00", "2020-10-29T23:58:53+03:00", "f26ab94c7d855113d57ea0c328d9b8b56d09b344aeff4142eb13cbf661b64e89"},
		{"MESAJ", "TACIR", "RET", "", "+905321112233", "", "2020-10-29T23:58:54+03:00", "576a"},
	}
	text := header +
		"2020-10-29 23:58:53,f26ab94c7d855113d57ea0c328d9b8b56d09b344aeff4142eb13cbf661b64e89,ornek@mail.com,BIREYSEL,EPOSTA,ONAY,2017-06-28 19:39:28,HS_WEB\n" +
		"\r\n" +
		"2020-10-29 23:58:54,576a,\"+905321112233\",TACIR,MESAJ,RET,,"
	for name, variant := range map[string]string{
		"commas": text, "semicolons": strings.ReplaceAll(text, ",", ";"), "tabs": strings.ReplaceAll(text, ",", "\t"),
		"windows": "\ufeff" + strings.ReplaceAll(text, "\n", "\r\n"),
	} {
		rows, reasons, err := readAll(variant)
		if err != nil || len(reasons) > 0 {
			t.Fatalf("%s: %v, %v", name, reasons, err)
		}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestFileReaderSaysWhatIsWrongWithARow(t *testing.T) {
	t.Parallel()
	good := "2020-10-29 23:58:53,a1,ornek@mail.com,BIREYSEL,EPOSTA,ONAY,2017-06-28 19:39:28,HS_WEB\n"
	for _, c := range []struct {
		old, new string
		want     iys.Reason
	}{
		{"EPOSTA", "FAKS", iys.BadType},
		{"ornek@mail.com", "ornek", iys.BadRecipient},
		{"ornek@mail.com", "or nek@mail.com", iys.BadRecipient},
		{"ornek@mail.com", "\"ornek@mail.com", iys.BadRow},
		{"ornek@mail.com", "ornek@mail.com,", iys.BadRow},
		{"ornek@mail.com", strings.Repeat("x", 20_000) + "@mail.com", iys.BadRow},
		{"ornek@mail.com", "\xff@mail.com", iys.BadRow},
		{"BIREYSEL", "KURUM", iys.BadRecipientType},
		{"ONAY", "RED", iys.BadStatus},
		{"HS_WEB", "", iys.BadSource},
		{"HS_WEB", "IYS_", iys.BadSource},
		{"2017-06-28 19:39:28", "2015-04-30 23:59:59", iys.BadDate},
		{"2017-06-28 19:39:28", "2017-02-30 19:39:28", iys.BadDate},
		{"2017-06-28 19:39:28", "", iys.BadDate},
		{"2020-10-29 23:58:53", "yesterday", iys.BadCreationDate},
		{"a1", "a 1", iys.BadTransaction},
	} {
		rows, reasons, err := readAll(header + good + strings.Replace(good, c.old, c.new, 1) + good)
		if err != nil || len(rows) != 2 || len(reasons) != 1 || reasons[0] != c.want {
			t.Errorf("%.20q for %q: %d rows, %v, %v; want %s", c.new, c.old, len(rows), reasons, err, c.want)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "no status": strings.Replace(header, "status", "state", 1), "a column twice": strings.Replace(header, "source", "type", 1),
	} {
		if _, _, err := readAll(text); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A refusal binds whatever is wrong with it, as long as it is known whose it is and when.
func TestARefusalIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	good := "2020-10-29 23:58:53,a1,ornek@mail.com,BIREYSEL,EPOSTA,RET,2017-06-28 19:39:28,HS_WEB\n"
	for _, c := range []struct {
		old, new string
		want     string // when it was said
	}{
		{"HS_WEB", "", "2017-06-28 19:39:28"},
		{"HS_WEB", "SOMEWHERE", "2017-06-28 19:39:28"},
		{"a1", "a 1", "2017-06-28 19:39:28"},
		{"2020-10-29 23:58:53", "yesterday", "2017-06-28 19:39:28"},
		{"2017-06-28 19:39:28", "2015-04-30 23:59:59", "2015-04-30 23:59:59"},
		{"2017-06-28 19:39:28", "2017-02-30 19:39:28", "2020-10-29 23:58:53"},
		{"2017-06-28 19:39:28", "", "2020-10-29 23:58:53"},
	} {
		rows, reasons, err := readAll(header + strings.Replace(good, c.old, c.new, 1))
		if err != nil || len(rows) != 1 || len(reasons) != 0 {
			t.Errorf("%q for %q: %d rows, %v, %v", c.new, c.old, len(rows), reasons, err)
			continue
		}
		at := rows[0].At
		if at == "" {
			at = rows[0].Created
		}
		if rows[0].Status != "RET" || at != strings.Replace(c.want, " ", "T", 1)+"+03:00" {
			t.Errorf("%q for %q: %s at %s", c.new, c.old, rows[0].Status, at)
		}
	}
	if _, reasons, _ := readAll(header + strings.NewReplacer("2017-06-28 19:39:28", "", "2020-10-29 23:58:53", "").Replace(good)); len(reasons) != 1 {
		t.Errorf("a refusal of no time: %v", reasons)
	}
}

func TestDecodePage(t *testing.T) {
	t.Parallel()
	page, err := iys.DecodePage([]byte(`{"after":"1604423100000_05","list":[
		{"consentDate":"2020-11-03 10:00:00","creationDate":"2020-11-03 10:00:01","source":"IYS_WEB","recipient":"+905813334455","recipientType":"BIREYSEL","status":"RET","type":"ARAMA","transactionId":"aa","citizenName":"left out"},
		{"consentDate":"2020-11-03 10:00:00","source":"IYS_WEB","recipient":"+905813334455","recipientType":"BIREYSEL","status":"RED","type":"ARAMA"},
		17]}`))
	if err != nil || page.After != "1604423100000_05" || len(page.Movements) != 1 {
		t.Fatalf("got %d movements after %q, %v", len(page.Movements), page.After, err)
	}
	want := row{"ARAMA", "BIREYSEL", "RET", "IYS_WEB", "+905813334455", "2020-11-03T10:00:00+03:00", "2020-11-03T10:00:01+03:00", "aa"}
	if diff := cmp.Diff(want, rowOf(page.Movements[0])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[iys.Reason]int{iys.BadStatus: 1, iys.BadRow: 1}, page.Unreadable); diff != "" {
		t.Errorf("unreadable (-want +got):\n%s", diff)
	}
	if _, err := iys.DecodePage([]byte(`[]`)); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a list instead of a page: %v", err)
	}
}

func TestDecodeResults(t *testing.T) {
	t.Parallel()
	documented := `[{"index":1,"status":"failure","subrequestId":"cf7b","error":{"code":"H155","message":"ornek@adiniz.com"}},
		{"index":2,"status":"success","transactionId":"8c83"},{"index":3,"status":"enqueue"}]`
	results, err := iys.DecodeResults([]byte(documented), 3)
	want := []iys.Result{{Index: 0, Failure: &iys.Failure{Code: "H155"}}, {Index: 1, Taken: true}, {Index: 2}}
	if diff := cmp.Diff(want, results); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{
		`{}`, `[{"index":0,"status":"success"}]`, `[{"index":4,"status":"success"}]`, `[{"index":1,"status":"great"}]`,
		`[{"index":1,"status":"success"},{"index":1,"status":"success"}]`,
	} {
		if _, err := iys.DecodeResults([]byte(text), 3); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: %v", text, err)
		}
	}
	failures := iys.DecodeFailures([]byte(`{"errors":[{"code":"H114","location":["recipient"]},{"code":"<b>","location":["x"]}]}`))
	if diff := cmp.Diff([]iys.Failure{{Code: "H114", Field: "recipient"}, {Code: "unknown"}}, failures); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}

func FuzzFileReader(f *testing.F) {
	f.Add(header + "2020-10-29 23:58:53,a1,ornek@mail.com,BIREYSEL,EPOSTA,ONAY,2017-06-28 19:39:28,HS_WEB\n")
	f.Add(strings.ReplaceAll(header, ",", ";") + "\"2020\"\"\";;;;;;;\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, reasons, err := readAll(text)
		if err != nil && !errors.Is(err, privacy.ErrInvalid) {
			t.Fatalf("an error without a name: %v", err)
		}
		if lines := strings.Count(text, "\n") + 1; len(rows)+len(reasons) > lines {
			t.Fatalf("%d rows out of %d lines", len(rows)+len(reasons), lines)
		}
		for _, r := range rows {
			if iys.Type(r.Kind).Channel() == "" || r.At == "" && r.Created == "" {
				t.Fatalf("a movement without channel or time")
			}
		}
	})
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"after":"1_0","list":[{"recipient":"a@b","type":"EPOSTA","status":"RET","recipientType":"TACIR","creationDate":"2020-11-03 10:00:01"}]}`))
	f.Add([]byte(`[{"index":1,"status":"failure","error":{"code":"H155"}}]`))
	f.Add([]byte(`{"errors":[{"code":"H114","location":["recipient"],"message":"x"}]}`))
	f.Add([]byte(`{"requestId":"73b75030-3a92-4f1e-b247-b0509dbadbfc"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if page, err := iys.DecodePage(body); err == nil {
			for i := range page.Movements {
				if m := &page.Movements[i]; m.EffectiveAt().IsZero() || m.Type.Kind() == "" {
					t.Fatal("a movement without time or type")
				}
			}
		} else if !errors.Is(err, privacy.ErrDamaged) {
			t.Fatalf("an error without a name: %v", err)
		}
		if results, err := iys.DecodeResults(body, 5); err == nil {
			for _, r := range results {
				if r.Index < 0 || r.Index >= 5 || r.Taken && r.Failure != nil {
					t.Fatal("a result outside the batch")
				}
			}
		}
		if m, err := iys.DecodeStatus(body); err == nil && m.EffectiveAt().IsZero() {
			t.Fatal("a consent without time")
		}
		for _, failure := range iys.DecodeFailures(body) {
			if len(failure.String()) > 40 {
				t.Fatal("a failure repeats what the other side wrote")
			}
		}
		if id, err := iys.DecodeSubmitted(body); err == nil && (id == "" || len(id) > 64) {
			t.Fatal("a request without a name")
		}
		if id, err := iys.DecodeAdded(body); err == nil && (id == "" || len(id) > 64) {
			t.Fatal("a change without a name")
		}
	})
}

// The movements of a change file, as the registry writes it each day.
func ExampleNewFileReader() {
	f, err := iys.NewFileReader(strings.NewReader(header +
		"2020-10-29 23:58:53,a1,ornek@mail.com,BIREYSEL,EPOSTA,RET,2020-10-29 19:39:28,IYS_WEB\n"))
	if err != nil {
		panic(err)
	}
	m, _, err := f.Next()
	fmt.Println(m.Status, m.Type.Channel(), m.Recipient, m.At.UTC().Format(time.DateTime), err)
	// Output: RET email REDACTED 2020-10-29 16:39:28 <nil>
}
