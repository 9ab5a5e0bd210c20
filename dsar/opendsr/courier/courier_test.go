package courier

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/privacy"
)

func serve(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(handler)
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s, pool
}

func TestAMessageArrives(t *testing.T) {
	t.Parallel()
	s, roots := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("X-OpenGDPR-Signature") != "sig" ||
			r.Header.Get("X-OpenGDPR-Processor-Domain") != "p.example" || r.Header.Get("Idempotency-Key") != "k" || string(body) != "{}" {
			t.Errorf("got %v %s", r.Header, body)
		}
		w.Header().Set("X-OpenDSR-Processor-Domain", "p.example")
		w.Header().Set("X-OpenDSR-Signature", "theirs")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, "[]")
	})
	answer, err := New(Config{DangerPrivateAddresses: true, Timeout: 5 * time.Minute}).Carry(t.Context(), Message{
		Method: "POST", URL: s.URL, Roots: roots, Token: "secret",
		Version: opendsr.V1, Domain: "p.example", Signature: "sig", IdempotencyKey: "k", Body: []byte("{}"),
	})
	if err != nil || answer.Status != 429 || answer.Signature != "theirs" || answer.Domain != "p.example" ||
		answer.RetryAfter != 7*time.Second || string(answer.Body) != "[]" {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestNothingGoesInside(t *testing.T) {
	t.Parallel()
	s, roots := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a message came to this machine") })
	c := New(Config{Timeout: 5 * time.Minute})
	for _, address := range []string{
		s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), strings.Replace(s.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1),
		"https://10.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest/meta-data", "https://0.0.0.0/", "https://[64:ff9b::7f00:1]/", "https://0x7f000001/",
	} {
		_, err := c.Carry(t.Context(), Message{Method: "POST", URL: address, Roots: roots, Body: []byte("{}")})
		if err == nil {
			t.Errorf("a message went to %s", address)
		} else if errors.Is(err, ErrAddress) && strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("the error repeats the address: %v", err)
		}
	}
	for _, address := range []string{"", "http://example.com/", "ftp://example.com", "https://", "https://user:pw@example.com/", "://"} {
		if _, err := c.Carry(t.Context(), Message{Method: "POST", URL: address}); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, public := range map[string]bool{
		"93.184.216.34:443": true, "[2606:2800:220:1::1]:443": true,
		"127.0.0.1:443": false, "[::1]:443": false, "[::ffff:10.0.0.1]:443": false, "10.1.2.3:443": false, "172.16.0.1:443": false, "192.168.0.1:443": false,
		"169.254.169.254:80": false, "[fe80::1%eth0]:443": false, "[fd00::1]:443": false, "100.64.0.1:443": false, "0.0.0.0:443": false,
		"224.0.0.1:443": false, "255.255.255.255:443": false, "[64:ff9b::a00:1]:443": false, "[2002:7f00:1::]:443": false, "example.com:443": false, "": false,
	} {
		if err := CheckAddress(address); (err == nil) != public {
			t.Errorf("%s: %v, public %v", address, err, public)
		}
	}
}

func TestRedirectsAndLargeAnswers(t *testing.T) {
	t.Parallel()
	s, roots := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = w.Write(make([]byte, 2*opendsr.MaxBody+1))
			return
		}
		http.Redirect(w, r, "/large", http.StatusTemporaryRedirect)
	})
	c := New(Config{DangerPrivateAddresses: true, Timeout: 5 * time.Minute})
	answer, err := c.Carry(t.Context(), Message{Method: "POST", URL: s.URL, Roots: roots, Body: []byte("{}")})
	if err != nil || answer.Status != http.StatusTemporaryRedirect {
		t.Errorf("%d, %v", answer.Status, err)
	}
	_, err = c.Carry(t.Context(), Message{Method: "GET", URL: s.URL + "/large", Roots: roots})
	if refusal, ok := errors.AsType[*opendsr.Refusal](err); !ok || refusal.Check != opendsr.CheckBodySize {
		t.Error(err)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	s, roots := serve(t, func(http.ResponseWriter, *http.Request) {})
	c := New(Config{DangerPrivateAddresses: true, Timeout: 5 * time.Minute})
	// A connection whose certificate nobody vouches for.
	if _, err := c.Carry(t.Context(), Message{Method: "GET", URL: s.URL}); !errors.Is(err, privacy.ErrUnavailable) || !strings.Contains(err.Error(), "not believed") {
		t.Error(err)
	}
	// The port of a server that was closed may be another's by now, who has the same certificate.
	if _, err := c.Carry(t.Context(), Message{Method: "GET", URL: "https://127.0.0.1:1", Roots: roots}); !errors.Is(err, privacy.ErrUnavailable) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Carry(ctx, Message{Method: "GET", URL: s.URL, Roots: roots}); !errors.Is(err, privacy.ErrUnavailable) {
		t.Error(err)
	}
}
