package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent/notice"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

func newNoticeStore(t *testing.T) (*NoticeStore, *AuditLog, *pgtest.Database) {
	t.Helper()
	db, database := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	return NewNoticeStore(db, log), log, database
}

var noticeDay = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func aNotice(version string, day int, material bool, purposes ...privacy.Purpose) notice.Notice {
	n, err := notice.Notice{
		Version: version, Material: material, Purposes: purposes, EffectiveFrom: noticeDay.AddDate(0, 0, day),
		Texts: []notice.Text{{Language: "tr", Body: version + " aydınlatma metni"}, {Language: "en", Body: "notice " + version}},
	}.Normalize(func(privacy.Purpose) bool { return true })
	if err != nil {
		panic(err)
	}
	return n
}

func publishing(n *notice.Notice) audit.Event {
	return audit.Event{
		Kind: audit.NoticePublished, Outcome: audit.Done, List: n.Digest(), Count: uint64(len(n.Texts)),
		Principal: privacy.Principal{ID: "dpo", Role: privacy.RoleDPO},
	}
}

func TestNoticeStore(t *testing.T) {
	t.Parallel()
	store, log, database := newNoticeStore(t)
	ctx := t.Context()
	if shown, err := store.Shown(ctx, "v1"); err != nil || shown.Kept || shown.Known {
		t.Fatalf("an empty register: %+v, %v", shown, err)
	}
	first := aNotice("v1", 0, false, "newsletter", "analytics")
	receipt, kept, err := store.Publish(ctx, first, publishing(&first))
	if err != nil || receipt.IsZero() || kept.PublishedAt.IsZero() {
		t.Fatalf("published: %+v, %v", kept, err)
	}
	read, err := store.Notice(ctx, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kept, read); diff != "" {
		t.Errorf("read back (-published +read):\n%s", diff)
	}
	if shown, err := store.Shown(ctx, "v1"); err != nil || !shown.Kept || !shown.Known || !shown.EffectiveFrom.Equal(noticeDay) || len(shown.Languages) != 2 {
		t.Errorf("shown: %+v, %v", shown, err)
	}
	if shown, err := store.Shown(ctx, "v2"); err != nil || !shown.Kept || shown.Known {
		t.Errorf("a version that is not there: %+v, %v", shown, err)
	}

	// The same version stays as it is, whatever is said of it.
	size, err := log.Size(ctx)
	if err != nil {
		t.Fatal(err)
	}
	altered := aNotice("v1", 0, false, "newsletter", "analytics")
	altered.Texts[0].Body = "another text"
	altered.Texts[0].Digest = sha256.Sum256([]byte("another text"))
	again, standing, err := store.Publish(ctx, altered, publishing(&altered))
	if err != nil || !again.IsZero() {
		t.Fatalf("the version again: %+v, %v", again, err)
	}
	if diff := cmp.Diff(read, standing); diff != "" {
		t.Errorf("what stands changed (-before +after):\n%s", diff)
	}
	if now, err := log.Size(ctx); err != nil || now != size {
		t.Error("what was not published left an entry")
	}

	second := aNotice("v2", 10, true, "newsletter")
	if _, _, err := store.Publish(ctx, second, publishing(&second)); err != nil {
		t.Fatal(err)
	}
	all, err := store.Notices(ctx)
	if err != nil || len(all) != 2 || all[0].Version != "v1" || all[1].Version != "v2" || all[0].Texts[0].Body != "" || all[0].Texts[0].Digest != first.Texts[0].Digest {
		t.Errorf("list: %+v, %v", all, err)
	}
	if _, err := store.Notice(ctx, "v3"); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("a notice that is not there: %v", err)
	}

	// Neither a text nor what it is for is changed by the application, and a text that a
	// superuser changed is not shown.
	app, owner := database.Pool(t), database.OwnerPool(t)
	for _, statement := range []string{
		`update consent.notice set material = false`, `delete from consent.notice`, `delete from consent.stale_notice`,
		`update consent.notice_text set body = 'x'`, `insert into consent.stale_notice (purpose, notice_version) values ('newsletter', 'v9')`,
		`update consent.stale_notice set stale_at = null`, `delete from consent.notice_purpose`,
	} {
		if _, err := app.Exec(ctx, statement); err == nil {
			t.Errorf("the application may: %s", statement)
		}
	}
	if _, err := owner.Exec(ctx, `update consent.notice_text set body = 'x' where body = 'notice v1'`); err == nil {
		t.Error("a text was changed under its digest")
	}
	if _, err := owner.Exec(ctx, `update consent.notice set material = false where notice_version = 'v2'`); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Notice(ctx, "v2"); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a notice that was changed: %v", err)
	}
}

// TestStaleNoticesAreDerived compares what is looked up with the rule, over registers that
// were published in any order and side by side.
func TestStaleNoticesAreDerived(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(6, 32)) //nolint:gosec // which notices is no secret
	purposes := []privacy.Purpose{"analytics", "newsletter", "pricing"}
	for round := range 4 {
		store, _, database := newNoticeStore(t)
		var published []notice.Notice
		for i := range 12 {
			about := slices.DeleteFunc(slices.Clone(purposes), func(privacy.Purpose) bool { return random.IntN(2) == 0 })
			if len(about) == 0 {
				about = purposes[:1]
			}
			published = append(published, aNotice(fmt.Sprintf("v%d", i), random.IntN(6), random.IntN(3) > 0, about...))
		}
		var workers sync.WaitGroup
		for i := range published {
			if round%2 == 0 {
				publishOne(t, store, published[i])
				continue
			}
			workers.Go(func() { publishOne(t, store, published[i]) })
		}
		workers.Wait()
		staleAsTheRuleSays(t, database.Pool(t), published, purposes)
	}
}

func publishOne(t *testing.T, store *NoticeStore, n notice.Notice) {
	t.Helper()
	if _, _, err := store.Publish(context.WithoutCancel(t.Context()), n, publishing(&n)); err != nil {
		t.Errorf("publishing %s: %v", n.Version, err)
	}
}

// staleAsTheRuleSays: a yes is out of date for a purpose from the first material notice on
// that touches it and took effect later than the one that was shown; an unregistered name is
// older than all.
func staleAsTheRuleSays(t *testing.T, pool *pgxpool.Pool, published []notice.Notice, purposes []privacy.Purpose) {
	t.Helper()
	names := []string{""}
	from := map[string]time.Time{}
	for i := range published {
		names = append(names, published[i].Version)
		from[published[i].Version] = published[i].EffectiveFrom
	}
	stale := 0
	for _, purpose := range purposes {
		for _, name := range names {
			var want *time.Time
			for i := range published {
				m := &published[i]
				if m.Material && slices.Contains(m.Purposes, purpose) && m.EffectiveFrom.After(from[name]) && (want == nil || m.EffectiveFrom.Before(*want)) {
					want = &m.EffectiveFrom
				}
			}
			var got *time.Time
			err := pool.QueryRow(t.Context(), `select (select stale_at from consent.stale_notice where purpose = $1 and notice_version = $2)`, string(purpose), name).Scan(&got)
			if err != nil {
				t.Fatal(err)
			}
			if (got == nil) != (want == nil) || got != nil && !got.Equal(*want) {
				t.Errorf("a yes to %q for %s is out of date from %v, want %v", name, purpose, got, want)
			}
			if want != nil {
				stale++
			}
		}
	}
	if stale == 0 {
		t.Error("nothing is out of date: the test says nothing")
	}
}
