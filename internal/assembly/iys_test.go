package assembly

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/iystest"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

// TestIYSBothWays: what people said at the registry binds here after a pull, what they said
// here is registered after an export, and neither goes round in a circle.
func TestIYSBothWays(t *testing.T) {
	t.Parallel()
	registry := &iystest.Registry{PageSize: 1, Slow: 1}
	server := httptest.NewServer(registry.Handler())
	t.Cleanup(server.Close)
	dir := t.TempDir()
	credentials := filepath.Join(dir, "iys")
	if err := os.WriteFile(credentials, []byte("user\nsecret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	database := pgtest.NewEmpty(t)
	settings, err := config.Load(dir, func(string) string { return "" }, config.Config{Patience: 30, DatabaseURL: database.URL()})
	if err != nil {
		t.Fatal(err)
	}
	settings.IYS = config.IYS{IYSCode: 100, IYSBrand: 200, IYSCredentials: credentials, IYSAddress: server.URL}
	house, err := Init(t.Context(), settings, Options{Logger: slog.New(slog.DiscardHandler)}, Operator("tester"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = house.Close(context.WithoutCancel(t.Context())) })
	lines := `{"identifiers":[{"kind":"email","value":"ayse@example.com"}],"jurisdiction":"TR","attributes":{"email":"ayse@example.com"}}
{"identifiers":[{"kind":"email","value":"kaan@example.com"}],"jurisdiction":"TR","attributes":{"email":"kaan@example.com"}}
`
	result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(lines), intake.StreamOptions{Principal: Operator("tester")})
	if err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	by := Operator("tester")

	// Ayşe refuses e-mail at the registry, and somebody whom we do not know something else.
	now := time.Now().In(iys.Place)
	said := now.Add(-3 * time.Hour).Format(time.DateTime)
	for _, recipient := range []string{"ayse@example.com", "nobody@example.com"} {
		registry.Say(iystest.Record{Recipient: recipient, RecipientType: "BIREYSEL", Type: "EPOSTA", Status: "RET", Source: "IYS_WEB", ConsentDate: said, CreationDate: said})
	}
	pulled, err := house.PullIYS(t.Context(), by, nil)
	if err != nil || len(pulled) != 2 {
		t.Fatalf("%d pulls, %v", len(pulled), err)
	}
	if p := pulled[0]; p.Read != 2 || p.Recorded != 1 || p.Nobody != 1 {
		t.Errorf("pulled %+v", p)
	}
	if entry, _ := last(t, house); entry.Kind != audit.RegistryExchanged {
		t.Errorf("the log ends with %s", entry.Kind)
	}
	if again, err := house.PullIYS(t.Context(), by, nil); err != nil || again[0].Read != 0 {
		t.Errorf("pulled again: %+v, %v", again, err)
	}
	ayse := find(t, house, "ayse@example.com")
	if state := marketingState(t, house, ayse, "email"); state != consent.StateObjected {
		t.Errorf("Ayşe's e-mail: %s", state)
	}

	// Kaan agrees here, and takes it back a little later.
	kaan := find(t, house, "kaan@example.com")
	if _, err := house.Consent.Grant(t.Context(), by, consent.Change{
		DataSubject: kaan, Purpose: iys.Purpose, Channel: "email", Explicit: true, NoticeVersion: "v1", Source: "web_form",
		EffectiveAt: time.Now().Add(-time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
	planned, _, err := house.ExportIYS(t.Context(), by, true, nil)
	if err != nil || planned.Sent != 1 {
		t.Errorf("planned %+v, %v", planned, err)
	}
	if _, held := registry.Held("kaan@example.com", "BIREYSEL", "EPOSTA"); held {
		t.Fatal("a plan was sent")
	}
	sent, _, err := house.ExportIYS(t.Context(), by, false, nil)
	if err != nil || sent.Sent != 1 || len(sent.Unsendable) != 0 {
		t.Fatalf("sent %+v, %v", sent, err)
	}
	held, _ := registry.Held("kaan@example.com", "BIREYSEL", "EPOSTA")
	if diff := cmp.Diff([]string{"ONAY", "HS_WEB"}, []string{held.Status, held.Source}); diff != "" {
		t.Errorf("the registry holds (-want +got):\n%s", diff)
	}
	if again, _, err := house.ExportIYS(t.Context(), by, false, nil); err != nil || again.Sent != 0 {
		t.Errorf("sent again %+v, %v", again, err)
	}
	if _, err := house.Consent.Withdraw(t.Context(), by, consent.Change{DataSubject: kaan, Purpose: iys.Purpose, Channel: "email", Source: "web_form", EffectiveAt: time.Now().Add(-time.Minute)}); err != nil {
		t.Fatal(err)
	}
	back, answers, err := house.ExportIYS(t.Context(), by, false, nil)
	if err != nil || back.Sent != 1 || answers.Taken != 1 {
		t.Errorf("taken back: %+v, %+v, %v", back, answers, err)
	}
	if held, _ := registry.Held("kaan@example.com", "BIREYSEL", "EPOSTA"); held.Status != "RET" {
		t.Errorf("the registry holds %s", held.Status)
	}

	// Nobody's credentials are everybody's.
	if err := os.Chmod(credentials, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readIYSAccount(credentials); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("a file that others can read: %v", err)
	}
}

func find(t *testing.T, house *House, address string) privacy.DataSubjectID {
	t.Helper()
	id, err := house.People.ResolveIdentifier(t.Context(), privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain(address)})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func marketingState(t *testing.T, house *House, id privacy.DataSubjectID, channel privacy.Channel) consent.State {
	t.Helper()
	statement, err := house.Consent.Show(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return consent.Fold(consent.ForPurpose(statement.Records, iys.Purpose), channel, time.Now()).State
}
