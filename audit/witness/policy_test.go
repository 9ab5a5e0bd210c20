package witness_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/privacy"
)

// key returns the key of the n-th witness.
func key(t testing.TB, n int) string {
	t.Helper()
	public := make([]byte, 32)
	public[0], public[1] = byte(n), byte(n>>8)
	v, err := witness.NewVerifier(fmt.Sprintf("witness.example/w%d", n), public)
	if err != nil {
		t.Fatal(err)
	}
	return v.String()
}

// quorumPolicy is the shape of the example in C2SP tlog-policy: two of three, and any of three.
func quorumPolicy(t testing.TB) string {
	var b strings.Builder
	b.WriteString("# an example\n\n")
	for i, name := range []string{"X1", "X2", "X3", "Y1", "Y2", "Y3"} {
		fmt.Fprintf(&b, "witness %s\t%s\n", name, key(t, i))
	}
	b.WriteString("group X-witnesses 2 X1 X2 X3\ngroup Y-witnesses any Y1 Y2 Y3\n  group X-and-Y all X-witnesses Y-witnesses  \nquorum X-and-Y\n")
	return b.String()
}

func TestPolicyQuorum(t *testing.T) {
	t.Parallel()
	policy, err := witness.ParsePolicy([]byte(quorumPolicy(t)))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"X1", "X2", "X3", "Y1", "Y2", "Y3"}
	for set := range 1 << len(names) {
		signed := map[string]bool{}
		x, y := 0, 0
		for i, name := range names {
			if set&(1<<i) != 0 {
				signed[name] = true
				if i < 3 {
					x++
				} else {
					y++
				}
			}
		}
		if got, want := policy.Enough(func(n string) bool { return signed[n] }), x >= 2 && y >= 1; got != want {
			t.Errorf("%v: enough is %v", signed, got)
		}
	}
	if !policy.Demands() || len(policy.Witnesses()) != 6 || len(policy.Logs()) != 0 {
		t.Errorf("read %d witnesses and %d logs", len(policy.Witnesses()), len(policy.Logs()))
	}
}

func TestPolicyWithoutQuorum(t *testing.T) {
	t.Parallel()
	policy, err := witness.ParsePolicy([]byte("quorum none"))
	if err != nil {
		t.Fatal(err)
	}
	if policy.Demands() || !policy.Enough(func(string) bool { return false }) {
		t.Error("quorum none demands somebody")
	}
}

func TestPolicyRefuses(t *testing.T) {
	t.Parallel()
	a, b := key(t, 1), key(t, 2)
	two := "witness A " + a + "\nwitness B " + b + "\n"
	const log = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
	many := ""
	for i := range 49 {
		many += fmt.Sprintf("witness W%d %s\n", i, key(t, i))
	}
	for name, text := range map[string]string{
		"empty":                  "",
		"no quorum":              two,
		"two quorums":            two + "quorum A\nquorum A\n",
		"quorum of two":          two + "quorum A B\n",
		"unknown quorum":         two + "quorum C\n",
		"quorum before":          "quorum A\n" + two,
		"unknown word":           two + "quorom A\nquorum A\n",
		"upper case word":        two + "Quorum A\n",
		"witness twice":          two + "witness C " + a + "\nquorum A\n",
		"name twice":             two + "witness A " + key(t, 3) + "\nquorum A\n",
		"a witness named none":   "witness none " + a + "\nquorum none\n",
		"witness without key":    "witness A\nquorum none\n",
		"witness with more":      "witness A " + a + " http://x more\nquorum A\n",
		"log key as witness":     "witness A " + log + "\nquorum none\n",
		"witness key as log":     "log " + a + "\nquorum none\n",
		"log twice":              "log " + log + "\nlog " + log + "\nquorum none\n",
		"log with more":          "log " + log + " http://x more\nquorum none\n",
		"wrong hash":             "witness A " + strings.Replace(a, "+", "+0", 1) + "\nquorum none\n",
		"cut key":                "witness A " + a[:len(a)-4] + "\nquorum none\n",
		"group of nobody":        two + "group G any\nquorum A\n",
		"group of itself":        two + "group G any G\nquorum A\n",
		"group of none":          two + "group G any none\nquorum A\n",
		"group of a later one":   "group G any A\n" + two + "quorum A\n",
		"zero of":                two + "group G 0 A B\nquorum G\n",
		"three of two":           two + "group G 3 A B\nquorum G\n",
		"two, spelled otherwise": two + "group G 02 A B\nquorum G\n",
		"member of two groups":   two + "group G any A\ngroup H any A B\nquorum G\n",
		"member twice":           two + "group G 2 A A\nquorum G\n",
		"group named as another": two + "group A any B\nquorum A\n",
		"carriage return":        two + "quorum A\r\n",
		"too many":               many + "quorum none\n",
		"too long":               strings.Repeat("#", witness.MaxPolicy) + "\nquorum none\n",
	} {
		if _, err := witness.ParsePolicy([]byte(text)); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := witness.ParsePolicy([]byte("log " + log + "\n" + two + "quorum A\n")); err != nil {
		t.Errorf("the one without a fault: %v", err)
	}
}

func TestMLDSAKeyIsNamed(t *testing.T) {
	t.Parallel()
	// Type 6; the key itself is longer, but is not looked at.
	_, err := witness.ParseKey("w.example+00000000+BgAA")
	if err == nil || !strings.Contains(err.Error(), "ML-DSA-44") {
		t.Errorf("got %v", err)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(quorumPolicy(f)))
	f.Add([]byte("quorum none"))
	f.Fuzz(func(t *testing.T, text []byte) {
		policy, err := witness.ParsePolicy(text)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Errorf("another error: %v", err)
			}
			return
		}
		all := policy.Enough(func(string) bool { return true })
		nobody := policy.Enough(func(string) bool { return false })
		if !all || nobody == policy.Demands() {
			t.Errorf("all are enough: %v; nobody is: %v; it demands: %v", all, nobody, policy.Demands())
		}
	})
}
