package assembly

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

// signing is who vouches for the log of this house.
type signing struct {
	// current is the key by which checkpoints are checked.
	current ed25519.PublicKey
	// former signed before it.
	former []ed25519.PublicKey
	// outside is whether another process signs, with a key that is not in this house.
	outside   bool
	witnesses *witness.Policy // nil: nobody
	// late is whether the gate is held, because no quorum came in time.
	late atomic.Bool
}

// hold refuses, while nobody vouches for the log, whatever hands out data. Everything else
// goes on: what people decide and ask for is not to be lost.
func (s *signing) hold(kind audit.Kind) error {
	switch kind {
	case audit.QueryAnswered, audit.AudienceAnswered, audit.PersonReidentified:
		if s.late.Load() {
			return fmt.Errorf("no quorum of witnesses vouches for the log, and one is required: %w: %w", audit.ErrUnvouched, privacy.ErrUnavailable)
		}
	}
	return nil
}

// holdEvery is how often it is looked whether there is a quorum again, where one is required.
const holdEvery = 5 * time.Second

// tendHold looks at once, before anything is answered, and then again and again.
func (h *House) tendHold(ctx context.Context) error {
	if !h.Settings.Signing.WitnessRequired {
		return nil
	}
	look := func(ctx context.Context) error {
		status, err := h.CheckpointStatus(ctx)
		h.signing.late.Store(err != nil || h.lateness(&status) != "")
		return err
	}
	h.tend(chore{holdEvery, "whether witnesses vouch for the log is not known, and one quorum is required", look})
	return look(ctx)
}

// keys are all keys of the log, that which signs now first.
func (s *signing) keys() []ed25519.PublicKey {
	return append([]ed25519.PublicKey{s.current}, s.former...)
}

// openSigning finds out who signs. Documents of the house (certificates, exports, reports)
// are signed with its own key whoever signs the log.
func (h *House) openSigning() error {
	h.signing.current = h.Keys.LogPublicKey()
	var err error
	if h.signing.witnesses, err = readWitnesses(h.Settings); err != nil {
		return err
	}
	if h.Settings.Signing.LogKey == "" {
		return nil
	}
	keys, err := readLogKeys(h.Settings.Signing.LogKey, h.Settings.Origin)
	if err != nil {
		return err
	}
	h.signing.current, h.signing.former, h.signing.outside = keys[0], keys[1:], true
	if !keys[0].Equal(h.Keys.LogPublicKey()) {
		h.signing.former = append(h.signing.former, h.Keys.LogPublicKey())
	}
	return nil
}

// readWitnesses reads the policy that the settings name; nil if they name none.
func readWitnesses(settings config.Config) (*witness.Policy, error) {
	if settings.Signing.Witnesses == "" {
		return nil, nil
	}
	text, err := os.ReadFile(settings.Signing.Witnesses)
	if err != nil {
		return nil, fmt.Errorf("reading policy of witnesses: %w", err)
	}
	policy, err := witness.ParsePolicy(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", settings.Signing.Witnesses, err)
	}
	return policy, nil
}

// readLogKeys reads a file of public keys of the log, one a line.
func readLogKeys(path, origin string) ([]ed25519.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading key of the log: %w", err)
	}
	var keys []ed25519.PublicKey
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, key, err := audit.ParseKey(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if name != origin {
			return nil, fmt.Errorf("%s has the key of another log than the setting origin names: %w", path, privacy.ErrInvalid)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s has no key: %w", path, privacy.ErrInvalid)
	}
	return keys, nil
}

// LogKey is the key by which checkpoints of the log are checked, name+hash+key.
func (h *House) LogKey() (string, error) {
	return audit.FormatKey(h.Settings.Origin, h.signing.current)
}

// Witnesses is the policy of witnesses; nil if there is none.
func (h *House) Witnesses() *witness.Policy { return h.signing.witnesses }

// CheckpointStatus says who vouches for how much of the log.
func (h *House) CheckpointStatus(ctx context.Context) (postgres.CheckpointStatus, error) {
	if h.Log != nil {
		return h.Log.CheckpointStatus(ctx)
	}
	// Opened as Base: it only looks.
	reader, err := postgres.NewSigner(h.DB, postgres.SignerConfig{
		Origin: h.Settings.Origin, PublicKey: h.signing.current, Former: h.signing.former, Witnesses: h.signing.witnesses,
		Now: h.options.Now, Logger: h.options.Logger,
	})
	if err != nil {
		return postgres.CheckpointStatus{}, err
	}
	return reader.Status(ctx)
}

// Vouched is who vouches for how much of the log.
type Vouched struct {
	postgres.CheckpointStatus
	// Signer is the key that signs, name+hash+key.
	Signer string `json:"signer"`
	// Witnessed is whether witnesses are named.
	Witnessed bool `json:"witnesses_named"`
	// Late is what is wrong, in words; empty if nothing is.
	Late string `json:"wrong,omitempty"`
	// Last is what witnesses vouch for.
	Last LastCosigned `json:"last_cosigned"`
}

// Vouched looks who vouches for how much of the log.
func (h *House) Vouched(ctx context.Context) (Vouched, error) {
	status, err := h.CheckpointStatus(ctx)
	if err != nil {
		return Vouched{}, err
	}
	key, err := h.LogKey()
	return Vouched{CheckpointStatus: status, Signer: key, Witnessed: h.signing.witnesses != nil, Late: h.lateness(&status), Last: h.lastCosigned(&status)}, err
}

// lateness is what is wrong with the state of checkpoints, as far as time says it: no
// quorum, or a signer that is silent. Empty means nothing.
func (h *House) lateness(status *postgres.CheckpointStatus) string {
	now, limit := h.options.Now(), h.Settings.Signing.Alarm()
	switch {
	case status.Refusal != "":
		return "the log is not the one that was signed before"
	case status.Alarm != "":
		return "a witness knows another history of the log: " + status.Alarm
	case !status.WaitingSince.IsZero() && now.Sub(status.WaitingSince) > limit:
		return fmt.Sprintf("no quorum of witnesses since %s", status.WaitingSince.UTC().Format(time.RFC3339))
	case h.signing.outside && status.Signed < status.Entries && now.Sub(status.UnsignedSince) > limit:
		return fmt.Sprintf("nothing was signed since %s", status.SignedAt.UTC().Format(time.RFC3339))
	}
	return ""
}

// tendSigning says in the log of the operator what is wrong, again and again.
func (h *House) tendSigning() {
	h.tend(chore{time.Minute, "the log is not vouched for as it should be", func(ctx context.Context) error {
		status, err := h.CheckpointStatus(ctx)
		if err != nil {
			return err
		}
		if what := h.lateness(&status); what != "" {
			return fmt.Errorf("%s; see mahrem audit status: %w", what, privacy.ErrUnavailable)
		}
		return nil
	}})
}

// checkpointCheck is the part of readiness that says who vouches for the log. It fails
// where the log was changed, and where witnesses are required and absent.
func (h *House) checkpointCheck(ctx context.Context) server.Check {
	check := server.Check{Name: "checkpoints"}
	status, err := h.CheckpointStatus(ctx)
	if err != nil {
		check.Err = err
		return check
	}
	check.Detail = fmt.Sprintf("%d of %d entries signed", status.Signed, status.Entries)
	if h.signing.witnesses != nil {
		check.Detail += fmt.Sprintf(", %d cosigned", status.Cosigned)
		if !status.CosignedAt.IsZero() {
			check.Detail += fmt.Sprintf(" at %s by %s", status.CosignedAt.UTC().Format(time.RFC3339), strings.Join(status.CosignedBy, ", "))
		}
	}
	late := h.lateness(&status)
	if late != "" {
		check.Detail += "; " + late
	}
	if late != "" && (status.Refusal != "" || status.Alarm != "" || h.Settings.Signing.WitnessRequired) {
		check.Err = fmt.Errorf("%s: %w", late, privacy.ErrUnavailable)
	}
	return check
}

// signingGauges are what /metrics shows of it.
func (h *House) signingGauges() []server.Gauge {
	read := func(value func(*postgres.CheckpointStatus) float64) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
			defer cancel()
			status, err := h.CheckpointStatus(ctx)
			if err != nil {
				return -1
			}
			return value(&status)
		}
	}
	return []server.Gauge{
		{
			Name: "mahrem_log_unsigned_entries", Help: "Entries behind the newest checkpoint; -1 if that could not be read.",
			Read: read(func(s *postgres.CheckpointStatus) float64 { return float64(s.Entries - min(s.Entries, s.Signed)) }),
		},
		{
			Name: "mahrem_log_uncosigned_entries", Help: "Entries behind the last checkpoint that witnesses have signed; -1 if that could not be read.",
			Read: read(func(s *postgres.CheckpointStatus) float64 { return float64(s.Entries - min(s.Entries, s.Cosigned)) }),
		},
		{
			Name: "mahrem_log_vouched", Help: "1 if checkpoints come and have the quorum that is demanded, 0 if not: see mahrem audit status.",
			Read: read(func(s *postgres.CheckpointStatus) float64 {
				if h.lateness(s) != "" {
					return 0
				}
				return 1
			}),
		},
	}
}

// noteLogKey writes into the log that another key signs from here on, once.
func (h *House) noteLogKey(ctx context.Context) error {
	if !h.signing.outside {
		return nil
	}
	key, err := h.LogKey()
	if err != nil {
		return err
	}
	digest := audit.Digest(sha256.Sum256([]byte(key)))
	signed, err := h.Log.LatestCheckpoint(ctx)
	if err == nil && len(signed) > 0 {
		return nil // the key has signed, so the change is there
	}
	written, err := h.Log.HasEntry(ctx, audit.LogKeyChanged, digest)
	if err != nil || written {
		return err
	}
	_, err = h.Log.Append(ctx, audit.Event{Kind: audit.LogKeyChanged, Outcome: audit.Done, List: digest, Principal: h.by()})
	return err
}

// by is who the house is when it does something by itself.
func (h *House) by() privacy.Principal {
	return privacy.Principal{ID: "server", Role: privacy.RoleAuditor}
}
