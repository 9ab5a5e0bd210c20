package server

import (
	"time"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
)

// decisionSchema names the form of the context of a decision.
const decisionSchema = "mahrem.decision/v1"

// appendJSON appends an AuthZEN decision. Its context says why, for whom it is enough
// to know; whoever does not read it misses nothing but the obligations.
func (e evaluated) appendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"decision":`...)
	if e.allow {
		b = append(b, "true"...)
	} else {
		b = append(b, "false"...)
	}
	if e.told || len(e.faults) > 0 || e.failure != nil {
		b = append(appendKey(b, "context"), `{"schema":"`+decisionSchema+`"`...)
		switch {
		case e.failure != nil:
			b = append(appendKey(b, "error"), '{')
			b = appendInt(appendKey(b, "status"), int64(e.failure.kind.status))
			b = append(appendKey(b, "type"), `"`+problemPrefix...)
			b = append(b, e.failure.kind.name...)
			b = append(b, '"', '}')
		case len(e.faults) > 0:
			b = appendFaults(appendKey(b, "errors"), e.faults)
		default:
			b = e.appendDecision(b)
		}
		b = append(b, '}')
	}
	return append(b, '}'), nil
}

func appendFaults(b []byte, faults []fieldProblem) []byte {
	b = append(b, '[')
	for i, f := range faults {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendString(appendKey(b, "pointer"), f.pointer)
		b = append(appendString(appendKey(b, "reason"), f.reason), '}')
	}
	return append(b, ']')
}

// appendDecision appends the members that a decision of the gate has.
func (e *evaluated) appendDecision(b []byte) []byte {
	given := &e.given
	b = appendString(appendKey(b, "decision_id"), given.DecisionID)
	b = appendString(appendKey(b, "policy_revision"), given.PolicyRevision)
	if given.Basis != "" {
		b = appendString(appendKey(b, "basis"), string(given.Basis))
	}
	b = appendReasons(appendKey(b, "reasons"), given.Reasons)
	if e.allow {
		b = append(appendKey(b, "attributes"), '{')
		for i := range given.Effects {
			b = appendEffect(appendKey(b, string(given.Effects[i].Attribute)), &given.Effects[i])
		}
		b = append(b, '}')
		if len(given.Obligations) > 0 {
			b = appendCustom(appendKey(b, "obligations"), given.Obligations)
		}
		b = appendTime(appendKey(b, "valid_until"), given.ValidUntil)
	}
	if e.consentToken != "" {
		b = appendString(appendKey(b, "consent_token"), e.consentToken)
	}
	return appendLog(appendKey(b, "log"), given.Receipt)
}

// effectOf are the effects by level, from the least to the most.
var effectOf = map[policies.Level]string{
	policies.Withheld: "deny", policies.Persona: "persona", policies.Generalized: "generalize", policies.Exact: "allow",
}

func appendEffect(b []byte, e *gate.Effect) []byte {
	b = append(b, '{')
	b = appendString(appendKey(b, "effect"), effectOf[e.Level])
	if e.To != "" {
		b = appendString(appendKey(b, "to"), string(e.To))
	}
	if len(e.Reasons) > 0 {
		b = appendStrings(appendKey(b, "reasons"), e.Reasons)
	}
	return append(b, '}')
}

// appendCustom appends obligations as the AuthZEN obligations profile has them.
func appendCustom(b []byte, obligations []gate.Obligation) []byte {
	b = append(b, '[')
	for i, o := range obligations {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendString(appendKey(b, "id"), string(o.ID))
		b = appendString(appendKey(b, "type"), obligationCustom)
		b = append(appendKey(b, "properties"), `{"vendor":"mahrem"`...)
		b = appendString(appendKey(b, "action"), string(o.ID))
		if !o.UseBefore.IsZero() {
			b = appendTime(appendKey(b, "use_before"), o.UseBefore)
		}
		b = append(b, '}', '}')
	}
	return append(b, ']')
}

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	return append(t.UTC().AppendFormat(b, time.RFC3339), '"')
}

// manyEvaluated is the answer to many evaluations.
type manyEvaluated []evaluated

func (m manyEvaluated) appendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"evaluations":[`...)
	for i := range m {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = m[i].appendJSON(b) // never fails
	}
	return append(b, ']', '}'), nil
}
