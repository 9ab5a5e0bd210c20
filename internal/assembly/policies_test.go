package assembly

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// policyDesk writes bundles for a house as their owner would.
type policyDesk struct {
	t        *testing.T
	signer   *policies.Signer
	settings config.Config
	// ahead is how far the clock went since start: a house looks at it whenever it likes.
	ahead atomic.Int64
}

var deskStart = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

func (d *policyDesk) now() time.Time { return deskStart.Add(time.Duration(d.ahead.Load())) }

func newPolicyDesk(t *testing.T) *policyDesk {
	t.Helper()
	database := pgtest.New(t)
	secret, public, err := policies.GenerateKey(strings.NewReader(strings.Repeat("k", 64)), "shop.example/policies")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := policies.ParseSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &policyDesk{t: t, signer: signer}
	d.settings = settingsFor(t, database)
	d.settings.Policies, d.settings.PoliciesKey = filepath.Join(dir, "bundle.tar.gz"), filepath.Join(dir, "policies.pub")
	if err := os.WriteFile(d.settings.PoliciesKey, []byte(public), 0o600); err != nil {
		t.Fatal(err)
	}
	house, err := Init(t.Context(), builtIn(d.settings), Options{MaxConns: 4}, operator)
	if err != nil {
		t.Fatal(err)
	}
	if err := house.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// builtIn are the settings for the policies in the binary.
func builtIn(settings config.Config) config.Config {
	settings.Policies = ""
	return settings
}

// bundle is the one in the binary with a note that makes another one of it.
func (d *policyDesk) bundle(note string) *policies.Content {
	d.t.Helper()
	own, err := policies.ReadBundle(policies.Bundle())
	if err != nil {
		d.t.Fatal(err)
	}
	dir := d.t.TempDir()
	if err := errors.Join(os.CopyFS(dir, own.FS()), os.WriteFile(filepath.Join(dir, "cases", "note.md"), []byte(note), 0o600)); err != nil {
		d.t.Fatal(err)
	}
	return d.dir(dir)
}

func (d *policyDesk) dir(dir string) *policies.Content {
	d.t.Helper()
	c, err := policies.ReadBundleDir(dir)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

func (d *policyDesk) sign(c *policies.Content, sequence uint64) *policies.Content {
	d.t.Helper()
	signed, _, err := d.signer.Sign(c, sequence, d.now().Add(24*time.Hour))
	if err != nil {
		d.t.Fatal(err)
	}
	return signed
}

func (d *policyDesk) put(c *policies.Content) {
	d.t.Helper()
	next := d.settings.Policies + ".new"
	if err := errors.Join(os.WriteFile(next, c.AppendArchive(nil), 0o600), os.Rename(next, d.settings.Policies)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *policyDesk) open() (*House, error) {
	house, err := Open(d.t.Context(), d.settings, Options{
		MaxConns: 4, Now: d.now, Logger: slog.New(slog.DiscardHandler),
	})
	if err == nil {
		d.t.Cleanup(func() { _ = house.Close(d.t.Context()) })
	}
	return house, err
}

// refused opens the house and fails unless the policies are refused with that word, in
// the error and in the log.
func (d *policyDesk) refused(check string) {
	d.t.Helper()
	_, err := d.open()
	if refusal, ok := errors.AsType[*policies.Refusal](err); !ok || refusal.Check != check {
		d.t.Errorf("Open: %v, want %s", err, check)
	}
	d.wantLogged(check)
}

// resumed opens the house and fails unless it goes on with the last good policies, and
// says with that word why not with others.
func (d *policyDesk) resumed(sequence uint64, check string) {
	d.t.Helper()
	house, err := d.open()
	if err != nil {
		d.t.Errorf("instead of going on after %s: %v", check, err)
		return
	}
	status := house.Engine.Status()
	if signed, _ := status.Revision.Signed(); signed.Sequence != sequence || status.Refused == nil || status.Refused.Check != check {
		d.t.Errorf("goes on with sequence %d after %v, want %d after %s", signed.Sequence, status.Refused, sequence, check)
	}
	if err := house.Close(d.t.Context()); err != nil {
		d.t.Error(err)
	}
	if check != policies.BundleUnavailable {
		d.wantLogged(check)
	}
}

func (d *policyDesk) wantLogged(check string) {
	d.t.Helper()
	house, err := Open(d.t.Context(), builtIn(d.settings), Options{MaxConns: 4})
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = house.Close(d.t.Context()) }()
	if entry, _ := last(d.t, house); entry.Kind != audit.PolicyRefused || !slices.Equal(entry.Checks, []string{check}) {
		d.t.Errorf("the last entry is %s %v, want policy.refused %s", entry.Kind, entry.Checks, check)
	}
}

func TestAHouseBelievesOnlySignedPolicies(t *testing.T) {
	t.Parallel()
	d := newPolicyDesk(t)
	d.put(d.bundle("1"))
	d.refused(policies.BundleUnsigned)
	if findings := Examine(t.Context(), d.settings, nil); findings[1].OK || !strings.Contains(findings[1].Detail, policies.BundleUnsigned) {
		t.Errorf("doctor says %+v", findings[1])
	}
	d.put(d.sign(d.bundle("1"), 5))
	house, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	if entry, _ := last(t, house); entry.Kind != audit.PolicyActivated || entry.Policy != house.PolicyDigest() {
		t.Errorf("the last entry is %s", entry.Kind)
	}
	if detail := house.policyCheck().Detail; !strings.HasSuffix(detail, "; sequence 5, until 2027-01-02T00:00:00Z") {
		t.Errorf("ready says %q", detail)
	}
	// A second start, or a second machine, has nothing to add.
	_, before := last(t, house)
	again, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	if _, after := last(t, again); after != before {
		t.Error("a start with the same policies was logged as a change")
	}
	// What must not take its place does not, and the last good one survives the start.
	d.put(d.sign(d.bundle("older"), 4))
	d.resumed(5, policies.BundleSequence)
	d.put(d.sign(d.bundle("other"), 5))
	d.resumed(5, policies.BundleSequence)
	d.put(d.sign(d.bundle("2"), 6))
	if _, err := d.open(); err != nil {
		t.Fatal(err)
	}
	d.put(d.sign(d.bundle("1"), 5))
	d.resumed(6, policies.BundleSequence)
	d.put(d.bundle("7"))
	d.resumed(6, policies.BundleUnsigned)
	if err := os.Remove(d.settings.Policies); err != nil {
		t.Fatal(err)
	}
	d.resumed(6, policies.BundleUnavailable)

	// The same rules under a new number are the last good ones with that number.
	d.put(d.sign(d.bundle("1"), 7))
	if _, err := d.open(); err != nil {
		t.Fatal(err)
	}
	d.put(d.bundle("unsigned"))
	d.resumed(7, policies.BundleUnsigned)

	// But not beyond its own end.
	d.put(d.sign(d.bundle("8"), 8))
	d.ahead.Add(int64(24*time.Hour + time.Second))
	d.refused(policies.BundleExpired)
}

func TestAHouseNeedsToKnowWhomToBelieve(t *testing.T) {
	t.Parallel()
	d := newPolicyDesk(t)
	d.put(d.bundle("1"))
	key := d.settings.PoliciesKey
	d.settings.PoliciesKey = ""
	if _, err := d.open(); !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), "policies_key") {
		t.Errorf("without a key: %v", err)
	}
	d.settings.DangerAcceptUnsignedPolicies = true
	house, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	if detail := house.policyCheck().Detail; !strings.HasSuffix(detail, "; NOT SIGNED") {
		t.Errorf("ready says %q", detail)
	}
	d.settings.DangerAcceptUnsignedPolicies, d.settings.PoliciesKey = false, key
	if err := os.WriteFile(key, []byte("# none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.open(); err == nil || !strings.Contains(err.Error(), "policies_key") {
		t.Errorf("with an empty file of keys: %v", err)
	}
	d.settings.Policies = filepath.Join(t.TempDir(), "nothing")
	if _, err := Bundle(t.Context(), d.settings.Policies); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("nothing there: %v", err)
	}
}

// TestScenariosDecideOverPolicies: rules that break a scenario of their own bundle do not
// become active, whoever signed them.
func TestScenariosDecideOverPolicies(t *testing.T) {
	t.Parallel()
	d := newPolicyDesk(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, policies.Bundle()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "catalogue", "purposes.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	i := strings.Index(string(content), "\ngreeting:")
	changed := string(content[:i]) + strings.Replace(string(content[i:]), "contact: exact", "contact: persona", 1)
	if changed == string(content) {
		t.Fatal("the greeting is written in another way")
	}
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	d.put(d.sign(d.dir(dir), 1))
	d.refused(policies.PolicyCases)
}

func TestWatchedPoliciesChange(t *testing.T) {
	t.Parallel()
	d := newPolicyDesk(t)
	d.put(d.sign(d.bundle("1"), 1))
	house, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	first := house.Engine.Revision()
	go func() { _ = house.Engine.Watch(t.Context(), house.policySource, 2*time.Millisecond) }()
	wait := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never: %s; %s", what, house.policyCheck().Detail)
			}
		}
	}
	gauge := func(name string) float64 {
		for _, g := range house.Gauges() {
			if g.Name == "mahrem_policy_"+name {
				return g.Read()
			}
		}
		t.Fatalf("there is no gauge %s", name)
		return 0
	}
	d.put(d.bundle("2"))
	// The counters come last.
	wait("refused", func() bool { return gauge("refusals_total") > 0 })
	if !strings.HasSuffix(house.policyCheck().Detail, ": bundle.unsigned") {
		t.Errorf("ready says %q", house.policyCheck().Detail)
	}
	if house.Engine.Revision() != first || gauge("refused") != 1 || gauge("refusals_total") != 1 || gauge("sequence") != 1 {
		t.Error("what was refused is active, or the gauges do not tell")
	}
	d.put(d.sign(d.bundle("2"), 2))
	wait("activated", func() bool { return gauge("activations_total") > 1 })
	if house.Engine.Revision() == first || gauge("refused") != 0 || gauge("sequence") != 2 || gauge("activations_total") != 2 || gauge("not_after_seconds") != float64(d.now().Add(24*time.Hour).Unix()) {
		t.Error("the gauges do not tell of the new policies")
	}
	if entry, _ := last(t, house); entry.Kind != audit.PolicyActivated || entry.Policy != house.PolicyDigest() {
		t.Errorf("the last entry is %s", entry.Kind)
	}
}
