package policies_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// script is a source that says one thing after the other, and then nothing new, or that it
// is still away.
type script struct {
	steps chan step
	away  error
}

type step struct {
	content *policies.Content
	err     error
}

func newScript() *script { return &script{steps: make(chan step)} }

func (s *script) Read(context.Context) (*policies.Content, error) {
	select {
	case now := <-s.steps:
		s.away = nil
		if errors.Is(now.err, privacy.ErrUnavailable) {
			s.away = now.err
		}
		return now.content, now.err
	default:
	}
	if s.away != nil {
		return nil, s.away
	}
	return nil, policies.ErrUnchanged
}

// eventually waits for what somebody else does. An activation takes a second alone, and half a
// minute with the race detector on processors that others have most of the time.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// noted is the built-in bundle with a file that makes another one of it.
func noted(t *testing.T, text string) *policies.Content {
	t.Helper()
	bundle := fstest.MapFS{"cases/note.md": {Data: []byte(text)}}
	for name, file := range files(t, content(t, policies.Bundle())) {
		bundle[name] = &fstest.MapFile{Data: file}
	}
	return content(t, bundle)
}

// watched is an engine that watches a script.
func watched(t *testing.T, config policies.Config, first *policies.Content) (*policies.Engine, *script) {
	t.Helper()
	config.EvaluationLimit = time.Minute
	engine := policies.New(config)
	if err := engine.ActivateContent(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	source := newScript()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := engine.Watch(ctx, source, time.Millisecond); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	return engine, source
}

func TestWatchKeepsTheLastGoodAndSaysWhy(t *testing.T) {
	t.Parallel()
	signer, keys, _ := newKey(t, 1, "shop.example/policies")
	stranger, _, _ := newKey(t, 2, "stranger.example")
	var refused atomic.Int64
	engine, source := watched(t, policies.Config{
		Keys: keys, Now: func() time.Time { return notAfter },
		Refused: func(*policies.Refusal) { refused.Add(1) },
	}, sign(t, signer, noted(t, "1"), 1))
	first := engine.Revision()
	if signed, ok := first.Signed(); !ok || signed.Sequence != 1 || signed.By != "shop.example/policies" {
		t.Fatalf("the first is signed as %+v", signed)
	}
	want := func(n int64, check string) {
		t.Helper()
		eventually(t, check, func() bool {
			refusal := engine.Status().Refused
			return refused.Load() == n && refusal != nil && refusal.Check == check
		})
		if engine.Revision() != first {
			t.Errorf("%s: the last good revision is gone", check)
		}
	}
	source.steps <- step{content: noted(t, "2")}
	want(1, policies.BundleUnsigned)
	source.steps <- step{content: sign(t, stranger, noted(t, "2"), 2)}
	want(2, policies.BundleUntrusted)
	_, malformed := policies.ParseArchive(nil)
	source.steps <- step{err: malformed}
	want(3, policies.BundleMalformed)

	// A source that is away is told once, and what was refused before is not forgotten.
	away := &policies.Refusal{Check: policies.BundleUnavailable, Err: privacy.ErrUnavailable}
	source.steps <- step{err: away}
	source.steps <- step{err: away}
	want(4, policies.BundleUnavailable)
	source.steps <- step{err: policies.ErrUnchanged}
	want(4, policies.BundleMalformed)

	// Back to what is active: nothing is wrong any more, and nothing is activated.
	source.steps <- step{content: sign(t, signer, noted(t, "1"), 1)}
	eventually(t, "back", func() bool { return engine.Status().Refused == nil })
	source.steps <- step{content: sign(t, signer, noted(t, "2"), 2)}
	// An activation is counted after it is active.
	eventually(t, "the next", func() bool { return engine.Status().Activations > 1 })
	status := engine.Status()
	if signed, _ := status.Revision.Signed(); status.Revision == first || signed.Sequence != 2 || status.Refused != nil || status.Activations != 2 || status.Refusals != 4 {
		t.Errorf("status %+v", status)
	}
}

// TestWatchTriesAgainWhatCouldNotBeRecorded: a database that was away for a moment must
// not keep new rules out until somebody changes them again.
func TestWatchTriesAgainWhatCouldNotBeRecorded(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	engine, source := watched(t, policies.Config{
		Commit: func(context.Context, *policies.Revision, *policies.Content) error {
			if away.Load() {
				return fmt.Errorf("recording: %w", privacy.ErrUnavailable)
			}
			return nil
		},
	}, noted(t, "1"))
	first := engine.Revision()
	away.Store(true)
	source.steps <- step{content: noted(t, "2")}
	eventually(t, "refused", func() bool {
		r := engine.Status().Refused
		return r != nil && r.Check == policies.PolicyUnrecorded
	})
	if engine.Revision() != first {
		t.Error("it is active although nothing recorded it")
	}
	away.Store(false)
	eventually(t, "activated", func() bool { return engine.Revision() != first && engine.Status().Refused == nil })
}

func TestWatchSaysThatTheActiveOneExpired(t *testing.T) {
	t.Parallel()
	signer, keys, _ := newKey(t, 1, "shop.example/policies")
	var late atomic.Bool
	var told atomic.Int64
	engine, source := watched(t, policies.Config{
		Keys: keys,
		Now: func() time.Time {
			if late.Load() {
				return notAfter.Add(time.Second)
			}
			return notAfter
		},
		Refused: func(refusal *policies.Refusal) {
			if refusal.Check == policies.BundleExpired {
				told.Add(1)
			}
		},
	}, sign(t, signer, noted(t, "1"), 1))
	first := engine.Revision()
	if engine.Status().Expired {
		t.Error("expired in its last second")
	}
	late.Store(true)
	eventually(t, "told", func() bool { return told.Load() == 1 })
	for range 3 {
		source.steps <- step{err: policies.ErrUnchanged}
	}
	if told.Load() != 1 || !engine.Status().Expired || engine.Revision() != first {
		t.Errorf("told %d times, status %+v", told.Load(), engine.Status())
	}
	renewed, _, err := signer.Sign(noted(t, "1"), 1, notAfter.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	source.steps <- step{content: renewed}
	eventually(t, "renewed", func() bool { return engine.Revision() != first && !engine.Status().Expired })
}

// TestActivateRefusesWhoseScenariosFail, and whose examination panics.
func TestActivateRefusesWhatExaminationRefuses(t *testing.T) {
	t.Parallel()
	recorded := false
	for check, examine := range map[string]func(context.Context, *policies.Revision, fs.FS) error{
		policies.PolicyCases: func(_ context.Context, r *policies.Revision, bundle fs.FS) error {
			if digest, err := policies.BundleDigest(bundle); err != nil || digest != r.Digest() {
				t.Errorf("examined is another bundle: %v", err)
			}
			return errors.New("S1 differs")
		},
		policies.PolicyInvalid: func(context.Context, *policies.Revision, fs.FS) error { panic("cases") },
	} {
		engine := policies.New(policies.Config{EvaluationLimit: time.Minute, Examine: examine, Commit: func(context.Context, *policies.Revision, *policies.Content) error {
			recorded = true
			return nil
		}})
		wantRefusal(t, engine.Activate(t.Context(), policies.Bundle()), check)
		if engine.Revision() != nil || recorded {
			t.Errorf("%s: it is active, or recorded to be", check)
		}
	}
}

func TestFileSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "bundle.tar.gz")
	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one, two := small(t).AppendArchive(nil), content(t, policies.Bundle()).AppendArchive(nil)
	source := policies.NewFileSource(file)
	read := func(want string) {
		t.Helper()
		c, err := source.Read(t.Context())
		got := "content"
		if refusal, ok := errors.AsType[*policies.Refusal](err); ok {
			got = refusal.Check
		} else if errors.Is(err, policies.ErrUnchanged) {
			got = "unchanged"
		}
		if got != want || (c != nil) != (want == "content") {
			t.Fatalf("got %s (%v), want %s", got, err, want)
		}
	}
	read(policies.BundleUnavailable)
	write(one)
	read("content")
	read("unchanged")
	write(two)
	read("unchanged") // it may be being written
	read("content")
	read("unchanged")
	write(two[:1000])
	read("unchanged")
	read(policies.BundleMalformed)
	read("unchanged")
	write(two)
	read("unchanged")
	read("content")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	read(policies.BundleUnavailable)
	write(two)
	read("unchanged")
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700), os.CopyFS(file, policies.Bundle())); err != nil {
		t.Fatal(err)
	}
	read("unchanged") // a directory with the same files is the same bundle
}
