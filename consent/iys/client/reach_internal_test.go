package client

import "testing"

// TestMayReach: what a name leads to is checked when it is connected to, so that no name
// server can turn the client against the inside of the house.
func TestMayReach(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][2]bool{ // public, this machine
		"185.125.190.20:443":     {true, false},
		"[2606:4700::1111]:443":  {true, false},
		"127.0.0.1:443":          {false, true},
		"[::1]:443":              {false, true},
		"[::ffff:127.0.0.1]:443": {false, true},
		"10.0.0.1:443":           {false, false},
		"192.168.1.1:443":        {false, false},
		"169.254.169.254:80":     {false, false},
		"[fe80::1%eth0]:443":     {false, false},
		"[fc00::1]:443":          {false, false},
		"0.0.0.0:443":            {false, false},
		"224.0.0.1:443":          {false, false},
		"nonsense":               {false, false},
	} {
		if got := [2]bool{mayReach(address, false), mayReach(address, true)}; got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}
