package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// The life of a link: messages are kept, and the way out must be open for as long.
const (
	DefaultLife = 2 * 365 * 24 * time.Hour
	MaxLife     = 10 * 365 * 24 * time.Hour
)

// Source is what the ledger says of a consent that was taken back by a link.
const Source = "one_click_link"

// ErrEnded is wrapped by the error for a link whose time is over.
var ErrEnded = errors.New("the link has ended")

// Keys give the key that seals links.
type Keys interface {
	// Ensure returns the key and makes it if there is none.
	Ensure(ctx context.Context) (AEAD, error)
	// Find returns the key, or an error that wraps [privacy.ErrNotFound] if there is none.
	Find() (AEAD, error)
}

// Words are those of the catalogue in force.
type Words interface {
	KnowsPurpose(privacy.Purpose) bool
	KnowsChannel(privacy.Channel) bool
	PurposeTitle(purpose privacy.Purpose, language string) string
	ChannelTitle(channel privacy.Channel, language string) string
}

// Withdrawer takes consents back; [consent.Service] is one.
type Withdrawer interface {
	// WithdrawByPerson MUST return after everything is durable. The error wraps
	// [privacy.ErrNotFound] if the person is not held any more.
	WithdrawByPerson(ctx context.Context, w consent.Withdrawal) (consent.Receipt, error)
}

// Config holds what a desk may be told otherwise.
type Config struct {
	// BaseURL is the https address of the public API, without a slash at the end. Empty:
	// links cannot be made, and those that exist work.
	BaseURL string
	// Now is the clock by which links end; time.Now.
	Now func() time.Time
}

// Path is where links lead to, below the base address.
const Path = "/withdraw/"

// Desk makes links and does what they ask for.
type Desk struct {
	keys   Keys
	words  Words
	ledger Withdrawer
	config Config
}

// New returns a desk. Keys, words and ledger are required.
func New(keys Keys, words Words, ledger Withdrawer, config Config) *Desk {
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Desk{keys, words, ledger, config}
}

// Order is what a link is wanted for.
type Order struct {
	DataSubject privacy.DataSubjectID
	Purposes    []privacy.Purpose
	Channels    []privacy.Channel
	// Language is that of the page; empty means English.
	Language string
	// Life is how long it works; zero means [DefaultLife].
	Life time.Duration
}

// Made is a link.
type Made struct {
	// URL is the person's own: who has it can take the consent back and nothing else.
	URL       privacy.Plain
	ExpiresAt time.Time
}

// Make makes a link. It changes nothing and stores nothing. Errors are a
// [privacy.FieldError], or wrap [privacy.ErrForbidden] for who may not speak for people, and
// [privacy.ErrUnavailable] without a public address.
func (d *Desk) Make(ctx context.Context, by privacy.Principal, o Order) (Made, error) {
	if by.Role != privacy.RoleService && by.Role != privacy.RoleDPO {
		return Made{}, fmt.Errorf("making link: %w", privacy.ErrForbidden)
	}
	if d.config.BaseURL == "" {
		return Made{}, fmt.Errorf("making link without a public_url: %w", privacy.ErrUnavailable)
	}
	if err := d.check(&o); err != nil {
		return Made{}, err
	}
	key, err := d.keys.Ensure(ctx)
	if err != nil {
		return Made{}, err
	}
	l := Link{
		DataSubject: o.DataSubject, Purposes: o.Purposes, Channels: o.Channels, Language: o.Language,
		ExpiresAt: d.config.Now().Add(o.Life).UTC().Truncate(time.Second),
	}
	token, err := Seal(key, l)
	if err != nil {
		return Made{}, err
	}
	return Made{privacy.NewPlain(d.config.BaseURL + Path + token.RevealPersonalData()), l.ExpiresAt}, nil
}

func (d *Desk) check(o *Order) error {
	wrong := func(pointer, reason string) error { return &privacy.FieldError{Pointer: pointer, Reason: reason} }
	if o.Language == "" {
		o.Language = "en"
	}
	if o.Life == 0 {
		o.Life = DefaultLife
	}
	switch {
	case o.DataSubject.IsZero():
		return wrong("/data_subject", "must name a person")
	case len(o.Purposes) == 0 || len(o.Purposes) > maxNames:
		return wrong("/purposes", `must name 1 to 64 purposes, or "*" alone`)
	case len(o.Channels) == 0 || len(o.Channels) > maxNames:
		return wrong("/channels", `must name 1 to 64 channels, or "*" alone`)
	case !slices.Contains(languages, o.Language):
		return wrong("/language", "must be en, tr or cs")
	case o.Life < time.Hour || o.Life > MaxLife:
		return wrong("/days", "must be at most ten years")
	}
	for i, purpose := range o.Purposes {
		if slices.Contains(o.Purposes[:i], purpose) || purpose == consent.AnyPurpose && len(o.Purposes) > 1 {
			return wrong(fmt.Sprintf("/purposes/%d", i), `is named twice, or "*" with others`)
		}
		if purpose != consent.AnyPurpose && !d.words.KnowsPurpose(purpose) {
			return wrong(fmt.Sprintf("/purposes/%d", i), "is not in the catalogue")
		}
	}
	for i, channel := range o.Channels {
		if slices.Contains(o.Channels[:i], channel) || channel == privacy.AnyChannel && len(o.Channels) > 1 {
			return wrong(fmt.Sprintf("/channels/%d", i), `is named twice, or "*" with others`)
		}
		if channel != privacy.AnyChannel && !d.words.KnowsChannel(channel) {
			return wrong(fmt.Sprintf("/channels/%d", i), "is not in the catalogue")
		}
	}
	return nil
}

// Offer is what a link says to whoever opens it. It names nobody.
type Offer struct {
	Language string
	// Purposes and Channels are titles in that language. None means all.
	Purposes, Channels []string
}

// Show reads a link and changes nothing: programs that look whether a link is there must
// not take a consent back. Errors wrap [ErrEnded], with the language in the offer, or
// [privacy.ErrNotFound], whatever is wrong with the link.
func (d *Desk) Show(token string) (Offer, error) {
	l, err := d.open(token)
	if err != nil {
		return Offer{Language: l.Language}, err
	}
	return d.offer(&l), nil
}

func (d *Desk) open(token string) (Link, error) {
	key, err := d.keys.Find()
	if err != nil {
		return Link{}, err
	}
	l, err := Open(key, token)
	if err != nil {
		return Link{}, err
	}
	if !d.config.Now().Before(l.ExpiresAt) {
		return Link{Language: l.Language}, fmt.Errorf("opening link: %w", ErrEnded)
	}
	return l, nil
}

func (d *Desk) offer(l *Link) Offer {
	o := Offer{Language: l.Language}
	for _, purpose := range l.Purposes {
		if purpose != consent.AnyPurpose && d.words.KnowsPurpose(purpose) {
			o.Purposes = append(o.Purposes, d.words.PurposeTitle(purpose, l.Language))
		}
	}
	for _, channel := range l.Channels {
		if channel != privacy.AnyChannel && d.words.KnowsChannel(channel) {
			o.Channels = append(o.Channels, d.words.ChannelTitle(channel, l.Language))
		}
	}
	return o
}

// Use takes the consent back. It returns after that is durable, and as often as somebody
// likes. A person who is not held any more has nothing left to take back: the receipt is
// zero then, and there is no error. Errors are those of [Desk.Show], or say that nothing was
// changed and that trying again may help.
func (d *Desk) Use(ctx context.Context, token string) (Offer, consent.Receipt, error) {
	l, err := d.open(token)
	if err != nil {
		return Offer{Language: l.Language}, consent.Receipt{}, err
	}
	offer := d.offer(&l)
	// The catalogue may have changed since the link was made. What is not in it any more
	// opens nothing.
	purposes := slices.DeleteFunc(slices.Clone(l.Purposes), func(p privacy.Purpose) bool {
		return p != consent.AnyPurpose && !d.words.KnowsPurpose(p)
	})
	channels := slices.DeleteFunc(slices.Clone(l.Channels), func(c privacy.Channel) bool {
		return c != privacy.AnyChannel && !d.words.KnowsChannel(c)
	})
	if len(purposes) == 0 || len(channels) == 0 {
		return Offer{Language: l.Language}, consent.Receipt{}, fmt.Errorf("using link: %w", ErrEnded)
	}
	receipt, err := d.ledger.WithdrawByPerson(ctx, consent.Withdrawal{
		DataSubject: l.DataSubject, Purposes: purposes, Channels: channels, Source: Source, Language: l.Language,
	})
	switch {
	case errors.Is(err, privacy.ErrNotFound):
		return offer, consent.Receipt{}, nil
	case err != nil:
		return Offer{Language: l.Language}, consent.Receipt{}, fmt.Errorf("using link: %w", err)
	case receipt.IsZero():
		return Offer{Language: l.Language}, consent.Receipt{}, fmt.Errorf("using link without evidence: %w", privacy.ErrUnavailable)
	}
	return offer, receipt, nil
}
