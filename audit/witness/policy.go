package witness

import (
	"crypto/ed25519"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
)

// Bounds of a policy.
const (
	// MaxPolicy is the most bytes that a policy may have.
	MaxPolicy = 1 << 16
	// maxOfKind bounds the logs, the witnesses and the groups: together they stay below the
	// 100 signatures that a note is read with.
	maxOfKind = 48
)

// none is the quorum that asks for nobody.
const none = "none"

// Witness is one whom a policy knows.
type Witness struct {
	// Name is what the policy calls it.
	Name string
	// Verifier checks its cosignatures.
	Verifier *Verifier
	// URL is the prefix under which it is asked. Without one it is not, and its
	// cosignatures come another way.
	URL string
}

// Policy says whose cosignatures make a checkpoint one to rely on.
type Policy struct {
	logs      []note.Verifier
	witnesses []Witness
	groups    map[string]group
	quorum    string
	text      string
}

// group is witnessed if enough of its members are.
type group struct {
	needs   int
	members []string
}

// ParsePolicy reads a C2SP tlog-policy. Anything that it does not say exactly is refused
// with the number of the line; the error wraps [privacy.ErrInvalid].
func ParsePolicy(text []byte) (*Policy, error) {
	if len(text) > MaxPolicy {
		return nil, invalid("policy of witnesses has more than %d bytes", MaxPolicy)
	}
	r := reader{policy: &Policy{groups: map[string]group{}, text: string(text)}, names: map[string]bool{none: true}, members: map[string]bool{}}
	for i, line := range strings.Split(string(text), "\n") {
		if err := r.line(line); err != nil {
			return nil, fmt.Errorf("line %d of the policy of witnesses: %w", i+1, err)
		}
	}
	if r.policy.quorum == "" {
		return nil, invalid("policy of witnesses has no line quorum")
	}
	return r.policy, nil
}

// reader is the state of one [ParsePolicy].
type reader struct {
	policy  *Policy
	names   map[string]bool // defined so far
	members map[string]bool // already in a group
}

func (r *reader) line(line string) error {
	for i := range len(line) {
		if c := line[i]; c != '\t' && c < ' ' || c == 0x7f {
			return invalid("has a control character")
		}
	}
	words := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return nil
	}
	switch arguments := words[1:]; words[0] {
	case "log":
		return r.log(arguments)
	case "witness":
		return r.witness(arguments)
	case "group":
		return r.group(arguments)
	case "quorum":
		return r.quorum(arguments)
	}
	return invalid("begins with none of log, witness, group and quorum")
}

func (r *reader) log(words []string) error {
	if len(words) < 1 || len(words) > 2 {
		return invalid("must be: log KEY [URL]")
	}
	if len(r.policy.logs) == maxOfKind {
		return invalid("is one log more than %d", maxOfKind)
	}
	origin, key, err := audit.ParseKey(words[0])
	if err != nil {
		return err
	}
	for _, known := range r.policy.logs {
		if known.(*logKey).key.Equal(key) {
			return invalid("has the key of another log")
		}
	}
	verifier, err := audit.NewVerifier(origin, key)
	if err != nil {
		return err
	}
	r.policy.logs = append(r.policy.logs, &logKey{verifier, key})
	return nil
}

// logKey is the verifier of a log that remembers its key, by which doubles are found.
type logKey struct {
	note.Verifier
	key ed25519.PublicKey
}

func (r *reader) witness(words []string) error {
	if len(words) < 2 || len(words) > 3 {
		return invalid("must be: witness NAME KEY [URL]")
	}
	if len(r.policy.witnesses) == maxOfKind {
		return invalid("is one witness more than %d", maxOfKind)
	}
	verifier, err := ParseKey(words[1])
	if err != nil {
		return err
	}
	for i := range r.policy.witnesses {
		if r.policy.witnesses[i].Verifier.key.Equal(verifier.key) {
			return invalid("has the key of another witness")
		}
	}
	w := Witness{Name: words[0], Verifier: verifier}
	if len(words) == 3 {
		w.URL = words[2]
	}
	r.policy.witnesses = append(r.policy.witnesses, w)
	return r.define(words[0])
}

func (r *reader) define(name string) error {
	if r.names[name] {
		return invalid("defines a name that is there already")
	}
	r.names[name] = true
	return nil
}

func (r *reader) group(words []string) error {
	if len(words) < 3 {
		return invalid("must be: group NAME all|any|NUMBER NAME...")
	}
	if len(r.policy.groups) == maxOfKind {
		return invalid("is one group more than %d", maxOfKind)
	}
	g := group{members: words[2:]}
	switch words[1] {
	case "any":
		g.needs = 1
	case "all":
		g.needs = len(g.members)
	default:
		n, err := strconv.Atoi(words[1])
		if err != nil || strconv.Itoa(n) != words[1] || n < 1 || n > len(g.members) {
			return invalid("needs all, any, or a number from 1 to that of its members")
		}
		g.needs = n
	}
	for _, member := range g.members {
		switch {
		case member == none || !r.names[member]:
			return invalid("has a member that no line before it defines")
		case r.members[member]:
			return invalid("has a member that is in a group already")
		}
		r.members[member] = true
	}
	if err := r.define(words[0]); err != nil {
		return err
	}
	r.policy.groups[words[0]] = g
	return nil
}

func (r *reader) quorum(words []string) error {
	switch {
	case len(words) != 1:
		return invalid("must be: quorum NAME")
	case r.policy.quorum != "":
		return invalid("is a second quorum")
	case !r.names[words[0]]:
		return invalid("names a quorum that no line before it defines")
	}
	r.policy.quorum = words[0]
	return nil
}

// Text is the policy as it was read.
func (p *Policy) Text() string { return p.text }

// Logs are the keys of the logs that it speaks about.
func (p *Policy) Logs() []note.Verifier { return append([]note.Verifier(nil), p.logs...) }

// Witnesses lists the witnesses in the order of the policy.
func (p *Policy) Witnesses() []Witness { return append([]Witness(nil), p.witnesses...) }

// Demands reports whether there is a quorum that needs anybody.
func (p *Policy) Demands() bool { return p.quorum != none }

// Enough reports whether those for whom signed is true, by their names in the policy, make
// the quorum.
func (p *Policy) Enough(signed func(witness string) bool) bool {
	return p.quorum == none || p.witnessed(p.quorum, signed)
}

// witnessed ends, because a group has only members that were defined before it.
func (p *Policy) witnessed(name string, signed func(string) bool) bool {
	g, ok := p.groups[name]
	if !ok {
		return signed(name)
	}
	n := 0
	for _, member := range g.members {
		if p.witnessed(member, signed) {
			n++
		}
	}
	return n >= g.needs
}
