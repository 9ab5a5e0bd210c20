package main

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mahrem/mahrem/internal/opendsrtest"
	"github.com/mahrem/mahrem/internal/witnesstest"
)

// authority REQUEST: an authority answers a request for a certificate. It writes
// certificate.pem, its own ca.pem, tls.pem and tls-key.pem for a server on this machine, and
// in port a port that is free there.
func authority(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 1 {
			ts.Fatalf("usage: authority REQUEST")
		}
		a := opendsrtest.NewAuthority(t, time.Now())
		chain, key := opendsrtest.TLSFiles(t, a, net.IPv4(127, 0, 0, 1))
		listener, err := witnesstest.Listen()
		ts.Check(err)
		_, port, err := net.SplitHostPort(listener.Addr().String())
		ts.Check(err)
		ts.Check(listener.Close())
		for name, content := range map[string][]byte{
			"port":            []byte(port),
			"certificate.pem": a.Fulfil(t, []byte(ts.ReadFile(args[0]))), "ca.pem": a.PEM(), "tls.pem": chain, "tls-key.pem": key,
		} {
			ts.Check(os.WriteFile(ts.MkAbs(name), content, 0o600))
		}
	}
}
