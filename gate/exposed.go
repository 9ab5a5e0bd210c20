package gate

import (
	"fmt"
	"strings"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Exposed is one thing that a recipient was told about a person and that points to a
// protected inference: a product group, or the value of an attribute.
type Exposed struct {
	Group     policies.GroupID
	Attribute privacy.AttributeName
	Value     privacy.Plain
	// LastTold is the UTC day on which it was told last.
	LastTold time.Time
}

// OpenExposures opens a row of the exposure ledger, for telling the person what was told
// about them. The newest row of a recipient holds all. The error wraps
// [privacy.ErrDamaged].
func OpenExposures(key *vault.PersonKey, row ExposureRow) ([]Exposed, error) {
	plain, err := key.OpenBytes(exposureLabel(row.Recipient), row.Number, row.Sealed)
	if err != nil {
		return nil, fmt.Errorf("opening exposure ledger: %w", err)
	}
	told, err := parseLedger(plain)
	if err != nil {
		return nil, err
	}
	list := make([]Exposed, len(told))
	for i, e := range told {
		list[i].LastTold = time.Unix(int64(e.day)*86400, 0).UTC()
		kind, rest, _ := strings.Cut(e.key, ":")
		switch kind {
		case "g":
			list[i].Group = policies.GroupID(rest)
		case "a":
			name, value, _ := strings.Cut(rest, "=")
			list[i].Attribute, list[i].Value = privacy.AttributeName(name), privacy.NewPlain(value)
		default:
			return nil, fmt.Errorf("opening exposure ledger: unknown kind of item: %w", privacy.ErrDamaged)
		}
	}
	return list, nil
}
