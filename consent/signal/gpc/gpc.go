// Package gpc reads Global Privacy Control: the header Sec-GPC with which a browser says for
// its user "do not sell or share my data", and writes the resource by which a site says that
// it listens.
package gpc

import "time"

// Header is the name of the header.
const Header = "Sec-GPC"

// WellKnown is the path of the resource by which a site says that it listens.
const WellKnown = "/.well-known/gpc.json"

// Asked reports whether the values of the header, one for each time that it stood in the
// request, ask for privacy. If at least one is exactly "1" they do, and once. Every other
// value, with spaces around it, in a list, or longer, is as if it were not there; the
// specification leaves no room for extensions. Trailers do not count: do not pass them.
func Asked(values []string) bool {
	for _, value := range values {
		if value == "1" {
			return true
		}
	}
	return false
}

// Support returns the body of the well-known resource: the site listens, since at least
// lastUpdate.
func Support(lastUpdate time.Time) []byte {
	return []byte(`{"gpc":true,"lastUpdate":"` + lastUpdate.UTC().Format(time.DateOnly) + `"}` + "\n")
}
