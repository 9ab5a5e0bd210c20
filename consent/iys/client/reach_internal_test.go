package client

import (
	"errors"
	"net/http"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

// TestOnlyHere: a client that is told of a registry on this machine reaches nothing else.
func TestOnlyHere(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:443":          true,
		"[::1]:443":              true,
		"[::ffff:127.0.0.1]:443": true,
		"185.125.190.20:443":     false,
		"10.0.0.1:443":           false,
		"169.254.169.254:80":     false,
		"0.0.0.0:443":            false,
		"nonsense":               false,
	} {
		if got := onlyHere(address) == nil; got != want {
			t.Errorf("%s: %t, want %t", address, got, want)
		}
	}
}

// TestMayReachDecides: what a name leads to is asked about before it is connected to, and
// without somebody to ask nothing is.
func TestMayReachDecides(t *testing.T) {
	t.Parallel()
	asked := ""
	refuse := func(address string) error {
		asked = address
		return privacy.ErrForbidden
	}
	for _, mayReach := range []func(string) error{nil, refuse} {
		c := http.Client{Transport: newTransport(mayReach)}
		response, err := c.Get("https://127.0.0.1:1")
		if err == nil {
			_ = response.Body.Close()
		}
		if !errors.Is(err, errAddress) {
			t.Errorf("reached: %v", err)
		}
	}
	if asked != "127.0.0.1:1" {
		t.Errorf("asked about %q", asked)
	}
}
