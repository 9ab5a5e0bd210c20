package assembly

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/consent/iys/client"
	"github.com/mahrem/mahrem/dsar/opendsr/courier"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// listening is who takes in what the registry says, when a server does.
var listening = privacy.Principal{ID: "iys", Role: privacy.RoleDPO}

// IYS is the room that speaks with Turkey's registry of messages. Its Client is nil in a house
// that has no account there: files can be imported all the same.
type IYS struct {
	Brand    int64
	Importer *iys.Importer
	Client   *client.Client
	Store    *postgres.IYSStore
}

// errNoIYS says what is missing.
var errNoIYS = fmt.Errorf("settings: iys_brand is not set, so nothing is known of the registry: %w", privacy.ErrInvalid)

// errNoIYSAccount says what is missing to ask the registry itself.
var errNoIYSAccount = fmt.Errorf("settings: iys_code and iys_credentials are not set, so the registry cannot be asked: %w", privacy.ErrInvalid)

// openIYS opens the room if the house has a brand.
func (h *House) openIYS() error {
	settings := h.Settings.IYS
	if settings.IYSBrand == 0 {
		return nil
	}
	store := postgres.NewIYSStore(h.DB, h.Log)
	importer, err := iys.NewImporter(store, h.Keys.Vault(), wordsOf(h.Engine), iys.ImportConfig{
		Brand: settings.IYSBrand, Notice: settings.IYSNotice, Now: h.options.Now,
	})
	if err != nil {
		return err
	}
	h.IYS = &IYS{Brand: settings.IYSBrand, Importer: importer, Store: store}
	if settings.IYSCredentials == "" {
		return nil
	}
	account, err := readIYSAccount(settings.IYSCredentials)
	if err != nil {
		return err
	}
	account.Code, account.Brand = settings.IYSCode, settings.IYSBrand
	if h.IYS.Client, err = client.New(account, client.Config{Address: settings.IYSAddress, MayReach: courier.CheckAddress, Now: h.options.Now}); err != nil {
		return err
	}
	h.tend(chore{
		every: settings.Every(), warning: "movements of the registry not taken in; what people refused there does not bind here yet",
		do: func(ctx context.Context) error { _, err := h.PullIYS(ctx, listening, nil); return err },
	})
	return nil
}

func readIYSAccount(path string) (client.Account, error) {
	text, err := readSecret(path)
	if err != nil {
		return client.Account{}, err
	}
	user, password, ok := strings.Cut(text, "\n")
	user, password = strings.TrimSpace(user), strings.TrimSpace(password)
	if !ok || user == "" || password == "" || strings.Contains(password, "\n") {
		return client.Account{}, fmt.Errorf("%s must have the user on the first line and the password on the second: %w", path, privacy.ErrInvalid)
	}
	return client.Account{User: privacy.NewPlain(user), Password: privacy.NewPlain(password)}, nil
}

// IYSRoom returns the room, or says that the house has none.
func (h *House) IYSRoom() (*IYS, error) {
	if h.IYS == nil {
		return nil, errNoIYS
	}
	return h.IYS, nil
}

// maxPages bounds one pull, in case the registry's list does not end.
const maxPages = 100_000

// PullIYS takes in all movements that the registry has for us: first what people said there,
// then what senders reported. Each page is committed with the place behind it.
func (h *House) PullIYS(ctx context.Context, by privacy.Principal, step func(rows int64)) ([]iys.Progress, error) {
	room, err := h.IYSRoom()
	if err != nil {
		return nil, err
	}
	if room.Client == nil {
		return nil, errNoIYSAccount
	}
	var all []iys.Progress
	for _, origin := range []client.Origin{client.ByRecipient, client.BySender} {
		progress, err := room.pull(ctx, by, origin, step)
		if err != nil {
			return all, err
		}
		all = append(all, progress)
	}
	return all, nil
}

// pull returns what one pull came to.
func (r *IYS) pull(ctx context.Context, by privacy.Principal, origin client.Origin, step func(rows int64)) (iys.Progress, error) {
	heard, err := r.Importer.Heard(ctx, string(origin))
	if err != nil {
		return iys.Progress{}, err
	}
	before, next := heard, heard
	for range maxPages {
		page, err := r.Client.Changes(ctx, origin, next.After)
		if err != nil {
			return iys.Progress{}, err
		}
		if len(page.Movements) == 0 && len(page.Unreadable) == 0 {
			return difference(before, next), nil
		}
		if page.After == "" || page.After == next.After {
			return iys.Progress{}, fmt.Errorf("reading movements of the registry: its list does not go on: %w", privacy.ErrDamaged)
		}
		if next, err = r.Importer.Page(ctx, by, next, page); err != nil {
			return iys.Progress{}, err
		}
		if step != nil {
			step(next.Read - before.Read)
		}
	}
	return iys.Progress{}, errors.New("reading movements of the registry: its list does not end")
}

// difference is what was added.
func difference(before, after iys.Progress) iys.Progress {
	after.Read -= before.Read
	after.Rejected -= before.Rejected
	after.Nobody -= before.Nobody
	after.Recorded -= before.Recorded
	after.Known -= before.Known
	after.HeldBack -= before.HeldBack
	return after
}

// iysAddresses finds where somebody is reached.
type iysAddresses struct{ known knownAddresses }

// Of implements [iys.Addresses].
func (a iysAddresses) Of(ctx context.Context, person privacy.DataSubjectID) ([]privacy.Identifier, error) {
	return a.known.Known(ctx, person, nil)
}

// exporter returns what tells the registry; without an account it can only plan.
func (h *House) exporter(room *IYS) (*iys.Exporter, error) {
	var registry iys.Registry
	if room.Client != nil {
		registry = room.Client
	}
	return iys.NewExporter(room.Store, postgres.NewConsentStore(h.DB, h.Log), iysAddresses{knownAddresses{h}}, registry, h.Keys.Vault(),
		iys.ExportConfig{Brand: room.Brand, Now: h.options.Now})
}

// ExportIYS tells the registry our own consents, after asking how those fared that it was told
// before. dry plans and asks nothing.
func (h *House) ExportIYS(ctx context.Context, by privacy.Principal, dry bool, step func(people int64)) (iys.Exported, iys.Answers, error) {
	room, err := h.IYSRoom()
	if err != nil {
		return iys.Exported{}, iys.Answers{}, err
	}
	if room.Client == nil && !dry {
		return iys.Exported{}, iys.Answers{}, errNoIYSAccount
	}
	exporter, err := h.exporter(room)
	if err != nil {
		return iys.Exported{}, iys.Answers{}, err
	}
	var answers iys.Answers
	if !dry {
		if answers, err = exporter.Collect(ctx, by); err != nil {
			return iys.Exported{}, answers, err
		}
	}
	exported, err := exporter.Export(ctx, by, dry, step)
	return exported, answers, err
}
