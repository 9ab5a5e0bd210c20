package assembly

import (
	"fmt"
	"strings"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

// policyCheck says which policies decide. Old policies are no reason to stop answering, so
// what is wrong with the newest ones is in the detail.
func (h *House) policyCheck() server.Check {
	status := h.Engine.Status()
	if status.Revision == nil {
		return server.Check{Name: "policies", Err: fmt.Errorf("no policy is active: %w", privacy.ErrUnavailable)}
	}
	return server.Check{Name: "policies", Detail: h.describePolicies(status)}
}

// describePolicies is for everybody's eyes: words and numbers, no text of an error.
func (h *House) describePolicies(status policies.Status) string {
	text := []string{strings.TrimPrefix(status.Revision.String(), "sha256:")}
	signed, ok := status.Revision.Signed()
	switch {
	case ok:
		text = append(text, fmt.Sprintf("sequence %d, until %s", signed.Sequence, signed.NotAfter.Format(time.RFC3339)))
	case h.policySource != nil:
		text = append(text, "NOT SIGNED")
	}
	if status.Expired {
		text = append(text, "EXPIRED")
	}
	if status.Refused != nil {
		what := "the newest"
		if status.Refused.Digest != ([32]byte{}) {
			what = fmt.Sprintf("%x", status.Refused.Digest[:8])
		}
		text = append(text, fmt.Sprintf("REFUSED %s: %s", what, status.Refused.Check))
	}
	return strings.Join(text, "; ")
}

// policyGauges are what an alert needs: the newest policies are refused, the active ones
// expire soon.
func (h *House) policyGauges() []server.Gauge {
	gauge := func(name, help string, counter bool, read func(policies.Status) float64) server.Gauge {
		return server.Gauge{Name: "mahrem_policy_" + name, Help: help, Counter: counter, Read: func() float64 { return read(h.Engine.Status()) }}
	}
	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	failed := func(read func(policies.Failures) uint64) func(policies.Status) float64 {
		return func(s policies.Status) float64 { return float64(read(s.Failures)) }
	}
	return []server.Gauge{
		gauge("slow_total", "Decisions denied because the policies took too long.", true, failed(func(f policies.Failures) uint64 { return f.Slow })),
		gauge("panics_total", "Decisions denied because evaluating the policies broke down.", true, failed(func(f policies.Failures) uint64 { return f.Panicked })),
		gauge("broken_total", "Decisions denied because the policies contradicted themselves.", true, failed(func(f policies.Failures) uint64 { return f.Broken })),
		gauge("activations_total", "Policies that became active.", true, func(s policies.Status) float64 { return float64(s.Activations) }),
		gauge("refusals_total", "Policies that were refused, could not be read, or expired while they were active.", true,
			func(s policies.Status) float64 { return float64(s.Refusals) }),
		gauge("refused", "1 while the newest policies are not the active ones.", false,
			func(s policies.Status) float64 { return truth(s.Refused != nil) }),
		gauge("expired", "1 while the active policies are used beyond their end.", false,
			func(s policies.Status) float64 { return truth(s.Expired) }),
		gauge("sequence", "Sequence of the active policies; 0 if they are not signed.", false, func(s policies.Status) float64 {
			if s.Revision == nil {
				return 0
			}
			signed, _ := s.Revision.Signed()
			return float64(signed.Sequence)
		}),
		gauge("not_after_seconds", "When the active policies expire, in seconds since 1970; 0 if they do not.", false, func(s policies.Status) float64 {
			if s.Revision == nil {
				return 0
			}
			if signed, ok := s.Revision.Signed(); ok {
				return float64(signed.NotAfter.Unix())
			}
			return 0
		}),
	}
}
