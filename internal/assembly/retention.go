package assembly

import (
	"github.com/mahrem/mahrem/dsar/retention"
)

// openWithholder opens what says which parts of an erasure must stay. It comes before the
// erasures.
func (h *House) openWithholder() (err error) {
	h.Withholder, err = retention.NewWithholder(h.catalogue, h.Keys.Vault())
	return err
}
