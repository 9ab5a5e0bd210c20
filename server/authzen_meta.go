package server

import (
	"context"
	"net/http"
)

// The paths of AuthZEN.
const (
	pathEvaluation  = "/access/v1/evaluation"
	pathEvaluations = "/access/v1/evaluations"
	pathMetadata    = "/.well-known/authzen-configuration"
)

// metadata tells a policy enforcement point where to ask and what it will be told to do.
type metadata struct {
	base        string
	obligations []string
}

func showMetadata(_ context.Context, c *call) error {
	m := metadata{base: c.server.config.PublicURL}
	if m.base == "" {
		// Whoever asks has come here by this name, so it is not misled by it. The protocol
		// is https: in front of a server without a certificate there is a proxy with one.
		if !isHost(c.request.Host) {
			return refuse(malformed)
		}
		m.base = "https://" + c.request.Host
	}
	if list := c.server.services.Obligations; list != nil {
		m.obligations = list()
	}
	return c.writeJSON(http.StatusOK, m)
}

// isHost reports whether a Host header holds a plain name or address, with a port or
// without.
func isHost(host string) bool {
	for i := range len(host) {
		c := host[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != ':' && c != '[' && c != ']' {
			return false
		}
	}
	return host != "" && len(host) <= 255
}

func (m metadata) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "policy_decision_point"), m.base)
	b = appendString(appendKey(b, "access_evaluation_endpoint"), m.base+pathEvaluation)
	b = appendString(appendKey(b, "access_evaluations_endpoint"), m.base+pathEvaluations)
	if len(m.obligations) > 0 {
		b = appendStrings(appendKey(b, "supported_obligations"), []string{obligationCustom})
		b = appendStrings(appendKey(b, "supported_custom_obligations"), m.obligations)
	}
	return append(b, '}'), nil
}
