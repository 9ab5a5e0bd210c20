package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// The AuthZEN Authorization API 1.0: others ask whether something is allowed, and do
// what they are told. See docs/authzen.md.

// Evaluator decides about a person without telling values; [gate.Gate] is one. It must
// return only after the log entry about the decision is durable.
type Evaluator interface {
	Evaluate(ctx context.Context, principal privacy.Principal, question gate.Question) (gate.Evaluation, error)
}

// AccessDecider decides about access in general; [policies.Conformance] is one.
type AccessDecider interface {
	Decide(ctx context.Context, access policies.Access) (bool, error)
}

// evaluated is the answer to one evaluation.
type evaluated struct {
	allow bool
	// told is whether given is set: the gate came to a decision.
	told  bool
	given gate.Evaluation
	// consentToken is the one that the question demanded.
	consentToken string
	// faults are why the question could not be understood, and failure is why it could
	// not be answered. Both are denials.
	faults  []fieldProblem
	failure *problem
}

// evaluation answers POST /access/v1/evaluation.
func evaluation(ctx context.Context, c *call) error {
	return c.evaluations(ctx, c.server.config.QueryLimit, func(data []byte) (evaluationsRequest, *fault) {
		e, f := readEvaluation(data)
		return evaluationsRequest{evaluationRequest: e}, f
	})
}

// evaluations answers POST /access/v1/evaluations.
func evaluations(ctx context.Context, c *call) error {
	return c.evaluations(ctx, c.server.config.BatchLimit, readEvaluations)
}

func (c *call) evaluations(ctx context.Context, limit int, read func([]byte) (evaluationsRequest, *fault)) error {
	if c.server.services.Evaluator == nil && c.server.services.Access == nil {
		return refuse(unavailable)
	}
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	// What was read points into the body: it stays until the answer is out.
	body := buffers.get()
	defer buffers.put(body)
	err := c.readBody(body, "application/json", limit)
	if p, ok := errors.AsType[*problem](err); ok && p.kind == mediaType {
		return refuseField(malformed, "", "the Content-Type must be application/json") // the protocol wants a 400 here
	}
	if err != nil {
		return err
	}
	request, f := read(body.data)
	if f != nil {
		return refuseField(malformed, f.pointer, f.reason)
	}
	if len(request.items) > 0 {
		return c.evaluateMany(ctx, &request)
	}
	if missing := request.missing(); missing != nil {
		return refuseField(malformed, missing.pointer, missing.reason)
	}
	result, err := c.evaluate(ctx, &request.evaluationRequest)
	if err != nil {
		return err
	}
	return c.writeJSON(http.StatusOK, result)
}

// evaluate decides one evaluation. An error is one of ours.
func (c *call) evaluate(ctx context.Context, e *evaluationRequest) (evaluated, error) {
	if e.fault != nil {
		return evaluated{faults: []fieldProblem{*e.fault}}, nil
	}
	if decider := c.server.services.Access; decider != nil {
		allow, err := decider.Decide(ctx, policies.Access{
			Subject:  policies.Entity{Type: e.subject.kind, ID: e.subject.id, Properties: e.subject.properties},
			Action:   policies.Entity{Type: e.action.kind, Properties: e.action.properties},
			Resource: policies.Entity{Type: e.resource.kind, ID: e.resource.id, Properties: e.resource.properties},
		})
		return evaluated{allow: allow && err == nil}, err
	}
	question, faults := e.question(c.principal.Recipient)
	if len(faults) > 0 {
		return evaluated{faults: faults}, nil
	}
	given, err := c.server.services.Evaluator.Evaluate(ctx, c.principal, question)
	if field, ok := errors.AsType[*privacy.FieldError](err); ok && !errors.Is(err, privacy.ErrDamaged) {
		return evaluated{faults: []fieldProblem{{placeOf(field.Pointer), field.Reason}}}, nil
	}
	if err != nil {
		return evaluated{}, err
	}
	if given.Receipt.IsZero() {
		return evaluated{}, errors.New("the gate gave an evaluation without evidence")
	}
	c.server.metrics.decided(string(question.Purpose), string(given.Decision))
	return evaluated{allow: given.Decision == gate.Allow, told: true, given: given, consentToken: question.ConsentToken}, nil
}
