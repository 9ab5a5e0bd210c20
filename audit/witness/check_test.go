package witness_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/internal/witnesstest"
	"github.com/mahrem/mahrem/privacy"
)

func mustPolicy(t testing.TB, text string) *witness.Policy {
	t.Helper()
	policy, err := witness.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func mustCollector(t testing.TB, policy *witness.Policy, prove witness.Prover) *witness.Collector {
	t.Helper()
	collector, err := witness.NewCollector(policy, prove, witness.ClientConfig{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return collector
}

// collect asks and returns the checkpoint with what came.
func collect(t testing.TB, c *witness.Collector, h *house, size int64) ([]byte, map[string]error) {
	t.Helper()
	signed := h.sign(size)
	failed := map[string]error{}
	for _, a := range c.Collect(t.Context(), signed, h.checkpoint(size)) {
		if failed[a.Witness] = a.Err; a.Err == nil {
			delete(failed, a.Witness)
			signed = witness.Attach(signed, a.Cosignature.Line)
		}
	}
	return signed, failed
}

func TestCollectAndCheck(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.grow(700, "entry")
	a, b, c := witnesstest.New(t, "a.example/w", h.key), witnesstest.New(t, "b.example/w", h.key), witnesstest.New(t, "c.example/w", h.key)
	policy := mustPolicy(t, a.Line("A")+b.Line("B")+c.Line("C")+"group G 2 A B C\nquorum G\n")
	collector := mustCollector(t, policy, h.prove)
	for _, size := range []int64{1, 2, 255, 256, 257, 257, 700} {
		signed, failed := collect(t, collector, h, size)
		if len(failed) > 0 {
			t.Fatalf("size %d: %v", size, failed)
		}
		cosigned, err := policy.Check(signed, h.key)
		if err != nil || !cosigned.Quorum || len(cosigned.Cosignatures) != 3 || cosigned.Checkpoint.Size != uint64(size) || cosigned.At.IsZero() {
			t.Fatalf("size %d: %+v, %v", size, cosigned, err)
		}
	}
	// One that is away, and one that lies, are not counted.
	b.Break(http.StatusServiceUnavailable)
	c.Forge(true)
	signed, failed := collect(t, collector, h, 700)
	cosigned, err := policy.Check(signed, h.key)
	if err != nil || cosigned.Quorum || len(cosigned.Cosignatures) != 1 || cosigned.Cosignatures[0].Witness != "A" {
		t.Errorf("one of three: %+v, %v", cosigned, err)
	}
	if !errors.Is(failed["B"], privacy.ErrUnavailable) || !errors.Is(failed["C"], privacy.ErrDamaged) {
		t.Errorf("failed: %v", failed)
	}
}

// TestCollectorLearnsTheSize starts again without knowing what the witness has seen.
func TestCollectorLearnsTheSize(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.grow(300, "entry")
	w := witnesstest.New(t, "w.example", h.key)
	policy := mustPolicy(t, w.Policy("W"))
	for _, size := range []int64{100, 300} {
		if _, failed := collect(t, mustCollector(t, policy, h.prove), h, size); len(failed) > 0 {
			t.Fatalf("size %d: %v", size, failed)
		}
	}
	if got := w.Refused(); len(got) != 1 || got[0] != http.StatusConflict {
		t.Errorf("refused %v", got)
	}
}

func TestWitnessSeesRollbackAndFork(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.grow(300, "entry")
	w := witnesstest.New(t, "w.example", h.key)
	policy := mustPolicy(t, w.Policy("W"))
	if _, failed := collect(t, mustCollector(t, policy, h.prove), h, 300); len(failed) > 0 {
		t.Fatal(failed)
	}
	_, failed := collect(t, mustCollector(t, policy, h.prove), h, 299)
	var ahead *witness.AheadError
	if !errors.As(failed["W"], &ahead) || ahead.Size != 300 {
		t.Errorf("rolled back: %v", failed)
	}
	other := &house{t: t, signer: h.signer, key: h.key}
	other.grow(200, "entry")
	other.grow(400, "another")
	for _, size := range []int64{300, 400} {
		if _, failed := collect(t, mustCollector(t, policy, other.prove), other, size); !errors.Is(failed["W"], witness.ErrForked) {
			t.Errorf("forked, size %d: %v", size, failed)
		}
	}
	stranger := newHouse(t)
	stranger.grow(400, "entry")
	if _, failed := collect(t, mustCollector(t, policy, stranger.prove), stranger, 400); !errors.Is(failed["W"], witness.ErrKeyRefused) {
		t.Errorf("another key: %v", failed)
	}
	unknown := witnesstest.New(t, "u.example")
	if _, failed := collect(t, mustCollector(t, mustPolicy(t, unknown.Policy("U")), h.prove), h, 300); !errors.Is(failed["U"], witness.ErrUnknownLog) {
		t.Errorf("unknown log: %v", failed)
	}
	if w.Size(origin) != 300 {
		t.Errorf("the witness is at %d", w.Size(origin))
	}
}

func TestWitnessThatIsSlowOrStrange(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.grow(3, "entry")
	w := witnesstest.New(t, "w.example", h.key)
	policy := mustPolicy(t, w.Policy("W"))
	w.Delay(time.Hour)
	collector, err := witness.NewCollector(policy, h.prove, witness.ClientConfig{Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, failed := collect(t, collector, h, 3); !errors.Is(failed["W"], privacy.ErrUnavailable) {
		t.Errorf("slow: %v", failed)
	}
	w.Delay(0)
	for _, status := range []int{http.StatusConflict, http.StatusFound, http.StatusTooManyRequests, http.StatusNoContent} {
		w.Break(status)
		if _, failed := collect(t, mustCollector(t, policy, h.prove), h, 3); failed["W"] == nil {
			t.Errorf("status %d was taken for a cosignature", status)
		}
	}
	for _, address := range []string{"ftp://x", "http://", "http://u:p@h", "http://h?q", "x"} {
		if _, err := witness.NewCollector(mustPolicy(t, "witness W "+w.Key()+" "+address+"\nquorum W\n"), h.prove, witness.ClientConfig{}); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("address %s: %v", address, err)
		}
	}
}

// TestCheckByteByByte changes each byte of a cosigned checkpoint.
func TestCheckByteByByte(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.grow(9, "entry")
	w := witnesstest.New(t, "w.example", h.key)
	policy := mustPolicy(t, w.Policy("W"))
	signed, failed := collect(t, mustCollector(t, policy, h.prove), h, 9)
	if len(failed) > 0 {
		t.Fatal(failed)
	}
	whole, err := policy.Check(signed, h.key)
	if err != nil || !whole.Quorum {
		t.Fatal(err)
	}
	for i := range signed {
		for _, flip := range []byte{1, 0x20, 0x80} {
			changed := bytes.Clone(signed)
			changed[i] ^= flip
			got, err := policy.Check(changed, h.key)
			if err == nil && got.Quorum && got.Checkpoint != whole.Checkpoint {
				t.Errorf("byte %d: another checkpoint passes", i)
			}
			if i < bytes.Index(signed, []byte("\n\n")) && err == nil {
				t.Errorf("byte %d of the text: no error", i)
			}
		}
	}
	if _, err := policy.Check(signed, newHouse(t).key); !errors.Is(err, witness.ErrUnknownKey) || !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("another log's key: %v", err)
	}
	if _, err := policy.Check(signed); !errors.Is(err, witness.ErrUnknownKey) {
		t.Errorf("no log's key: %v", err)
	}
	// A cosignature of one checkpoint is none of another.
	other := h.sign(8)
	line := string(signed[strings.LastIndex(string(signed), "— "):])
	if _, err := policy.Check(append(other, line...), h.key); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a borrowed cosignature: %v", err)
	}
}

// TestMessageVector has the example of C2SP tlog-cosignature, whose key the text does not
// name.
func TestMessageVector(t *testing.T) {
	t.Parallel()
	const text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
	const want = "cosignature/v1\ntime 1679315147\n" + text
	if got := string(witness.Message(1679315147, []byte(text))); got != want {
		t.Errorf("got %q", got)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	// The body of the example in C2SP tlog-witness.
	const body = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
`
	old, proof, signed, err := witness.ParseRequest([]byte(body))
	if err != nil || old != 20852014 || len(proof) != 4 || !bytes.HasPrefix(signed, []byte("example.com/")) {
		t.Fatalf("read %d, %d hashes, %v", old, len(proof), err)
	}
	if got := string(witness.FormatRequest(old, proof, signed)); got != body {
		t.Errorf("wrote %q", got)
	}
	for name, body := range map[string]string{
		"no old":          strings.Replace(body, "old ", "new ", 1),
		"leading zero":    strings.Replace(body, "old ", "old 0", 1),
		"no empty line":   strings.ReplaceAll(body, "\n\n", "\n"),
		"loose base64":    strings.Replace(body, "kaw=", "kax=", 1),
		"too many":        "old 1\n" + strings.Repeat("PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n", 64) + "\nx",
		"no checkpoint":   "old 1\n\n",
		"two on a line":   strings.Replace(body, "kaw=\n", "kaw= ", 1),
		"carriage return": strings.Replace(body, "kaw=\n", "kaw=\r\n", 1),
	} {
		if _, _, _, err := witness.ParseRequest([]byte(body)); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte("old 0\n\nx\n1\n"))
	f.Add(witness.FormatRequest(7, []tlog.Hash{{1}}, []byte("x\n\n— y z\n")))
	f.Fuzz(func(t *testing.T, body []byte) {
		old, proof, signed, err := witness.ParseRequest(body)
		if err == nil && !bytes.Equal(witness.FormatRequest(old, proof, signed), body) {
			t.Error("has another spelling")
		}
	})
}

func FuzzCheck(f *testing.F) {
	h := newHouse(f)
	h.grow(2, "entry")
	w := witnesstest.New(f, "w.example", h.key)
	policy := mustPolicy(f, w.Policy("W"))
	f.Add(h.sign(1))
	f.Add([]byte("x\n"))
	whole := h.checkpoint(1)
	f.Fuzz(func(t *testing.T, signed []byte) {
		if c, err := policy.Check(signed, h.key); err == nil && c.Checkpoint != whole {
			t.Errorf("checked %+v", c)
		}
	})
}

// TestWitnessThatOnceNamedTooLargeASizeIsAskedAgain: what an answer names is signed by
// nobody, and an http address can be answered by anybody on the way.
func TestWitnessThatOnceNamedTooLargeASizeIsAskedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.grow(300, "entry")
	w := witnesstest.New(t, "w.example", h.key)
	var lie atomic.Bool
	carrier := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if lie.Load() {
			out.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(out, "9223372036854775807\n")
			return
		}
		w.ServeHTTP(out, r)
	}))
	t.Cleanup(carrier.Close)
	policy := mustPolicy(t, "witness W "+w.Key()+" "+carrier.URL+"\nquorum W\n")
	collector := mustCollector(t, policy, h.prove)
	if _, failed := collect(t, collector, h, 100); len(failed) > 0 {
		t.Fatal(failed)
	}
	lie.Store(true)
	_, failed := collect(t, collector, h, 200)
	var ahead *witness.AheadError
	if !errors.As(failed["W"], &ahead) {
		t.Errorf("too large a size: %v", failed)
	}
	lie.Store(false)
	for _, size := range []int64{200, 300} {
		if _, failed := collect(t, collector, h, size); len(failed) > 0 {
			t.Errorf("size %d: %v", size, failed)
		}
	}
	if w.Size(origin) != 300 {
		t.Errorf("the witness is at %d", w.Size(origin))
	}
}
