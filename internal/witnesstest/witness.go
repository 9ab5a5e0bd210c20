// Package witnesstest has a witness for tests, by the rules of C2SP tlog-witness, that can
// also be told to misbehave. It shares no code with the client but the form of a request.
package witnesstest

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/witness"
)

// Witness is a witness that listens on this machine until its test ends.
type Witness struct {
	name     string
	private  ed25519.PrivateKey
	verifier *witness.Verifier
	address  string
	server   *http.Server // nil while it is away

	mu      sync.Mutex
	logs    []note.Verifier
	seen    map[string]audit.Checkpoint
	latest  map[string][]byte
	refused []int
	// broken, if it is not zero, is answered to everything.
	broken int
	delay  time.Duration
	now    func() time.Time
	forge  bool
}

// New starts a witness with a key of its own that cosigns the logs with these keys.
func New(t testing.TB, name string, logs ...note.Verifier) *Witness {
	t.Helper()
	w, err := Start(name, logs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Leave)
	return w
}

// Listen listens on this machine, on a port that no system gives to whoever asks for any: so
// that it is still free for who leaves it and comes back.
func Listen() (net.Listener, error) {
	for tries := 1; ; tries++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))) //nolint:gosec // any port
		if err == nil || tries == 1000 {
			return listener, err
		}
	}
}

// Start is [New] for who has no test at hand; end it with [Witness.Leave].
func Start(name string, logs ...note.Verifier) (*Witness, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	verifier, err := witness.NewVerifier(name, public)
	if err != nil {
		return nil, err
	}
	w := &Witness{
		name: name, private: private, verifier: verifier, logs: logs,
		seen: map[string]audit.Checkpoint{}, latest: map[string][]byte{}, now: time.Now,
	}
	return w, w.Return()
}

// Leave makes it go away: nobody listens there any more. It forgets nothing.
func (w *Witness) Leave() {
	w.mu.Lock()
	server := w.server
	w.server = nil
	w.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

// Return makes it listen again, where it did before.
func (w *Witness) Return() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.server != nil {
		return nil
	}
	var listener net.Listener
	var err error
	if w.address == "" {
		listener, err = Listen()
	} else {
		listener, err = net.Listen("tcp", w.address)
	}
	if err != nil {
		return err
	}
	w.address = listener.Addr().String()
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: time.Minute}
	go func(server *http.Server) { _ = server.Serve(listener) }(w.server)
	return nil
}

// SeeOther makes it remember another history of a log, of the size that it has seen: from
// then on it answers 422 to whoever continues the one that it cosigned.
func (w *Witness) SeeOther(origin string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.seen[origin]
	c.Root[0] ^= 1
	w.seen[origin] = c
}

// URL is where it is asked.
func (w *Witness) URL() string { return "http://" + w.address }

// Key is its public key, name+hash+key.
func (w *Witness) Key() string { return w.verifier.String() }

// Verifier checks its cosignatures.
func (w *Witness) Verifier() *witness.Verifier { return w.verifier }

// Line is its line in a policy, under a name.
func (w *Witness) Line(name string) string {
	return fmt.Sprintf("witness %s %s %s\n", name, w.Key(), w.URL())
}

// Policy is a policy that demands this witness.
func (w *Witness) Policy(name string) string { return w.Line(name) + "quorum " + name + "\n" }

// Size is the size of the log that it has cosigned last.
func (w *Witness) Size(origin string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[origin].Size
}

// Checkpoint is what it has cosigned last, with its cosignature; nil if nothing.
func (w *Witness) Checkpoint(origin string) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest[origin]
}

// Refused are the status codes of what it refused, in order.
func (w *Witness) Refused() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]int(nil), w.refused...)
}

// Know makes it cosign a log with a further key.
func (w *Witness) Know(log note.Verifier) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs = append(w.logs, log)
}

// Break makes it answer status to everything; zero makes it whole again.
func (w *Witness) Break(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = status
}

// Delay makes every answer take so long.
func (w *Witness) Delay(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = d
}

// Forge makes its signatures wrong, or right again.
func (w *Witness) Forge(forge bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forge = forge
}

// ServeHTTP implements [http.Handler].
func (w *Witness) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/add-checkpoint" {
		http.Error(out, "no", http.StatusBadRequest)
		return
	}
	// After the body: only then does the server see that the caller has gone.
	w.mu.Lock()
	delay := w.delay
	w.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != 0 {
		http.Error(out, "broken", w.broken)
		return
	}
	line, err := w.add(body)
	var refused *refusal
	switch {
	case err == nil:
		_, _ = io.WriteString(out, line+"\n")
		return
	case !errors.As(err, &refused):
		refused = &refusal{http.StatusInternalServerError, err.Error()}
	}
	w.refused = append(w.refused, refused.status)
	if refused.status == http.StatusConflict {
		out.Header().Set("Content-Type", "text/x.tlog.size")
	}
	out.WriteHeader(refused.status)
	_, _ = io.WriteString(out, refused.text+"\n")
}

// refusal is an answer other than 200.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func (w *Witness) add(body []byte) (string, error) {
	old, proof, signed, err := witness.ParseRequest(body)
	if err != nil {
		return "", &refusal{http.StatusBadRequest, "malformed"}
	}
	origin, _, _ := strings.Cut(string(signed), "\n")
	var keys []note.Verifier
	for _, log := range w.logs {
		if log.Name() == origin {
			keys = append(keys, log)
		}
	}
	if len(keys) == 0 {
		return "", &refusal{http.StatusNotFound, "unknown log"}
	}
	n, err := note.Open(append([]byte(nil), signed...), note.VerifierList(keys...))
	if err != nil {
		return "", &refusal{http.StatusForbidden, "no signature by a key of the log"}
	}
	next, err := audit.ParseCheckpoint(n.Text)
	if err != nil || old > next.Size {
		return "", &refusal{http.StatusBadRequest, "malformed"}
	}
	last := w.seen[origin]
	if last.Size != old {
		return "", &refusal{http.StatusConflict, fmt.Sprint(last.Size)}
	}
	if !continues(last, next, proof) {
		return "", &refusal{http.StatusUnprocessableEntity, "not the same log"}
	}
	w.seen[origin] = next
	line := w.cosign(n.Text)
	w.latest[origin] = witness.Attach(signed, line)
	return line, nil
}

// continues reports whether the tree of next begins with that of last.
func continues(last, next audit.Checkpoint, proof []tlog.Hash) bool {
	switch {
	case last.Size == 0:
		return len(proof) == 0
	case last.Size == next.Size:
		return last.Root == next.Root
	}
	return tlog.CheckTree(proof, int64(next.Size), next.Root, int64(last.Size), last.Root) == nil
}

func (w *Witness) cosign(text string) string {
	seconds := uint64(w.now().Unix())
	raw := binary.BigEndian.AppendUint32(nil, w.verifier.KeyHash())
	raw = binary.BigEndian.AppendUint64(raw, seconds)
	raw = append(raw, ed25519.Sign(w.private, witness.Message(seconds, []byte(text)))...)
	if w.forge {
		raw[len(raw)-1] ^= 1
	}
	return "— " + w.name + " " + base64.StdEncoding.EncodeToString(raw)
}
