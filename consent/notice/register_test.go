package notice_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent/notice"
	"github.com/mahrem/mahrem/privacy"
)

// shelf is a store in memory.
type shelf struct {
	all   []notice.Notice
	event audit.Event
}

func (s *shelf) Publish(_ context.Context, n notice.Notice, event audit.Event) (audit.Receipt, notice.Notice, error) {
	for _, standing := range s.all {
		if standing.Version == n.Version {
			return audit.Receipt{}, standing, nil
		}
	}
	s.all, s.event = append(s.all, n), event
	return audit.Committed([16]byte{1}, [32]byte{2}, uint64(len(s.all))), n, nil
}

func (s *shelf) Notice(_ context.Context, version string) (notice.Notice, error) {
	if i := slices.IndexFunc(s.all, func(n notice.Notice) bool { return n.Version == version }); i >= 0 {
		return s.all[i], nil
	}
	return notice.Notice{}, privacy.ErrNotFound
}

func (s *shelf) Notices(context.Context) ([]notice.Notice, error) { return s.all, nil }

var officer = privacy.Principal{ID: "dpo", Role: privacy.RoleDPO}

func newRegister() (*notice.Register, *shelf) {
	s := &shelf{}
	return notice.New(s, func(p privacy.Purpose) bool { return p == "newsletter" }), s
}

func newsletterNotice() notice.Notice {
	return notice.Notice{
		Version: "privacy-7", Purposes: []privacy.Purpose{"newsletter"}, EffectiveFrom: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		Texts: []notice.Text{{Language: "en", Body: "We write to you on Fridays."}},
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	register, s := newRegister()
	published, err := register.Publish(t.Context(), officer, newsletterNotice())
	if err != nil || published.Duplicate || published.Receipt.IsZero() {
		t.Fatalf("%+v, %v", published, err)
	}
	if s.event.Kind != audit.NoticePublished || s.event.List != published.Notice.Digest() || s.event.Count != 1 || s.event.Outcome != audit.Done {
		t.Errorf("event %+v", s.event)
	}
	if again, err := register.Publish(t.Context(), officer, newsletterNotice()); err != nil || !again.Duplicate || !again.Receipt.IsZero() {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	altered := newsletterNotice()
	altered.Texts[0].Body, altered.Material = "We write to you every day.", true
	if _, err := register.Publish(t.Context(), officer, altered); !errors.Is(err, privacy.ErrConflict) || !strings.Contains(err.Error(), "another material, texts") {
		t.Errorf("an altered text under a version that is there: %v", err)
	}
	if len(s.all) != 1 || s.all[0].Texts[0].Body != "We write to you on Fridays." {
		t.Errorf("the shelf has %+v", s.all)
	}
	for _, role := range []privacy.Role{privacy.RoleService, privacy.RoleAuditor, privacy.RoleIngest, ""} {
		if _, err := register.Publish(t.Context(), privacy.Principal{ID: "x", Role: role}, newsletterNotice()); !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("role %q published: %v", role, err)
		}
	}
	if _, err := register.Publish(t.Context(), officer, notice.Notice{Version: "v"}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("half a notice: %v", err)
	}
	for _, version := range []string{"privacy-8", "", "a b", strings.Repeat("x", 99)} {
		if _, err := register.Notice(t.Context(), version); !errors.Is(err, privacy.ErrNotFound) {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func Example() {
	ctx := context.Background()
	register, _ := newRegister()
	published, err := register.Publish(ctx, officer, newsletterNotice())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(published.Notice.Version, published.Duplicate)

	altered := newsletterNotice()
	altered.Texts[0].Body = "We write to you every day."
	_, err = register.Publish(ctx, officer, altered)
	fmt.Println(err)
	// Output:
	// privacy-7 false
	// publishing a notice: version privacy-7 is published with another texts, and stays as it is; a changed notice needs a version of its own: conflict
}
