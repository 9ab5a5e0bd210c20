package server

import (
	"slices"
	"strconv"
)

// Reading of AuthZEN requests (Authorization API 1.0, sections 5 to 7).

// entity is a subject, an action or a resource as it was sent. The kind of an action is
// its name.
type entity struct {
	present    bool
	kind, id   string
	properties []byte // a JSON object, or nil
}

// evaluationRequest asks for one decision.
type evaluationRequest struct {
	subject, action, resource entity
	context                   []byte // a JSON object, or nil
	// fault is why it cannot be decided.
	fault *fieldProblem
}

// evaluationsRequest asks for many. Without items it is a single one.
type evaluationsRequest struct {
	evaluationRequest
	items    []evaluationRequest
	semantic string
}

// The semantics of many evaluations.
const (
	executeAll          = "execute_all"
	denyOnFirstDeny     = "deny_on_first_deny"
	permitOnFirstPermit = "permit_on_first_permit"
)

// readEvaluation reads the body of a single evaluation.
func readEvaluation(data []byte) (evaluationRequest, *fault) {
	r := newLooseReader(data)
	var e evaluationRequest
	f := r.whole(func(key string) *fault {
		_, f := r.evaluationKey(&e, key)
		return f
	})
	return e, f
}

// readEvaluations reads the body of many evaluations, where each item takes from the top
// what it leaves out. What is wrong inside of one item is that item's alone.
func readEvaluations(data []byte) (evaluationsRequest, *fault) {
	r := newLooseReader(data)
	e := evaluationsRequest{semantic: executeAll}
	var items [][]byte
	f := r.whole(func(key string) *fault {
		if known, f := r.evaluationKey(&e.evaluationRequest, key); known {
			return f
		}
		switch key {
		case "evaluations":
			if r.null() {
				return nil
			}
			return r.within(key, func() *fault {
				return r.array(func() *fault {
					item, f := r.raw()
					if items = append(items, item); f == nil && len(items) > MaxBatch {
						f = r.fault("must have at most " + strconv.Itoa(MaxBatch) + " entries")
					}
					return f
				})
			})
		case "options":
			if r.null() {
				return nil
			}
			return r.within(key, func() *fault { return r.options(&e) })
		}
		return nil
	})
	if f != nil {
		return e, f
	}
	e.items = make([]evaluationRequest, len(items))
	for i, item := range items {
		e.items[i] = readItem(item, &e.evaluationRequest)
	}
	return e, nil
}

func (r *looseReader) options(e *evaluationsRequest) *fault {
	return r.object(func(key string) *fault {
		if key != "evaluations_semantic" {
			return nil
		}
		return r.within(key, func() (f *fault) {
			if e.semantic, f = r.word(); f == nil && !slices.Contains([]string{executeAll, denyOnFirstDeny, permitOnFirstPermit}, e.semantic) {
				f = r.fault("must be one of execute_all, deny_on_first_deny, permit_on_first_permit")
			}
			return f
		})
	})
}

// readItem reads one of many. An entity that it gives replaces the whole default.
func readItem(data []byte, defaults *evaluationRequest) evaluationRequest {
	var e evaluationRequest
	r := newLooseReader(data)
	f := r.whole(func(key string) *fault {
		_, f := r.evaluationKey(&e, key)
		return f
	})
	if f != nil {
		return evaluationRequest{fault: &fieldProblem{f.pointer, f.reason}}
	}
	for _, pair := range [...][2]*entity{{&e.subject, &defaults.subject}, {&e.action, &defaults.action}, {&e.resource, &defaults.resource}} {
		if !pair[0].present {
			*pair[0] = *pair[1]
		}
	}
	if e.context == nil {
		e.context = defaults.context
	}
	e.fault = e.missing()
	return e
}

// evaluationKey reads the value of a key that a single evaluation has, and says whether
// it is one.
func (r *looseReader) evaluationKey(e *evaluationRequest, key string) (known bool, f *fault) {
	switch key {
	case "subject":
		return true, r.within(key, func() *fault { return r.entity(&e.subject, "type") })
	case "action":
		return true, r.within(key, func() *fault { return r.entity(&e.action, "name") })
	case "resource":
		return true, r.within(key, func() *fault { return r.entity(&e.resource, "type") })
	case "context":
		return true, r.within(key, func() *fault { return r.free(&e.context) })
	}
	return false, nil
}

// entity reads a subject, action or resource. Null stands for nothing.
func (r *looseReader) entity(e *entity, kind string) *fault {
	if r.null() {
		return nil
	}
	e.present = true
	return r.object(func(key string) *fault {
		var into *string
		switch key {
		case kind:
			into = &e.kind
		case "id":
			if kind == "name" {
				return nil // an action has none
			}
			into = &e.id
		case "properties":
			return r.within(key, func() *fault { return r.free(&e.properties) })
		default:
			return nil
		}
		if r.null() {
			return nil
		}
		return r.within(key, func() (f *fault) {
			*into, f = r.word()
			return f
		})
	})
}

// free reads an object of whatever content.
func (r *looseReader) free(into *[]byte) *fault {
	if r.null() {
		return nil
	}
	start := r.at
	f := r.object(nil)
	*into = r.data[start:r.at]
	return f
}

// missing returns the first thing that every evaluation needs and this one has not.
func (e *evaluationRequest) missing() *fieldProblem {
	for _, part := range [...]struct {
		e              *entity
		name, kind, id string
	}{
		{&e.subject, "/subject", "/type", "/id"},
		{&e.action, "/action", "/name", ""},
		{&e.resource, "/resource", "/type", "/id"},
	} {
		switch {
		case !part.e.present:
			return &fieldProblem{part.name, "must be there"}
		case part.e.kind == "":
			return &fieldProblem{part.name + part.kind, "must be there and not be empty"}
		case part.e.id == "" && part.id != "":
			return &fieldProblem{part.name + part.id, "must be there and not be empty"}
		}
	}
	return nil
}
