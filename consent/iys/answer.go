package iys

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// Failure is one thing that the registry has against a consent. What it wrote besides may
// name the recipient and is left out.
type Failure struct {
	// Code is a letter and digits, or "unknown".
	Code string
	// Field is one of the registry's fields, or empty.
	Field string
}

// String is the code and, in parentheses, the field.
func (f Failure) String() string {
	if f.Field == "" {
		return f.Code
	}
	return f.Code + " (" + f.Field + ")"
}

// wireFailure is the JSON form.
type wireFailure struct {
	Code     string   `json:"code"`
	Location []string `json:"location"`
}

// known are the fields that a failure may name.
var known = []string{"recipient", "recipientType", "type", "status", "source", "consentDate", "reportDate", "retailerCode", "retailerAccess", "after"}

func (w *wireFailure) failure() Failure {
	f := Failure{Code: "unknown"}
	if len(w.Code) >= 2 && len(w.Code) <= 8 && w.Code[0] >= 'A' && w.Code[0] <= 'Z' {
		f.Code = w.Code
		for _, c := range []byte(w.Code[1:]) {
			if c < '0' || c > '9' {
				f.Code = "unknown"
			}
		}
	}
	for _, field := range w.Location {
		if slices.Contains(known, field) {
			f.Field = field
		}
	}
	return f
}

// maxFailures bounds what is kept of one answer.
const maxFailures = 32

// DecodeFailures reads what the registry has against a request; an answer that cannot be
// read is one unknown failure.
func DecodeFailures(body []byte) []Failure {
	var answer struct {
		Errors []wireFailure `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil || len(answer.Errors) == 0 {
		return []Failure{{Code: "unknown"}}
	}
	var list []Failure
	for _, w := range answer.Errors[:min(len(answer.Errors), maxFailures)] {
		list = append(list, w.failure())
	}
	return list
}

// DecodeAdded reads the answer to one consent.
func DecodeAdded(body []byte) (transaction string, err error) {
	var answer struct {
		TransactionID string `json:"transactionId"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.TransactionID == "" || !isTransaction(answer.TransactionID) {
		return "", fmt.Errorf("reading the registry's answer to a consent: %w", privacy.ErrDamaged)
	}
	return answer.TransactionID, nil
}

// DecodeSubmitted reads the answer to a batch.
func DecodeSubmitted(body []byte) (request string, err error) {
	var answer struct {
		RequestID string `json:"requestId"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.RequestID == "" || !isTransaction(answer.RequestID) {
		return "", fmt.Errorf("reading the registry's answer to a batch: %w", privacy.ErrDamaged)
	}
	return answer.RequestID, nil
}

// Result is how one consent of a batch fared.
type Result struct {
	// Index is its place in the batch, from 0.
	Index int
	// Taken: the registry has it. Neither taken nor failed: it still waits.
	Taken bool
	// Failure is set when the registry does not take it.
	Failure *Failure
}

// DecodeResults reads how a batch of a size fared. A consent about which the answer says
// nothing is not in the list.
func DecodeResults(body []byte, size int) ([]Result, error) {
	var answer []struct {
		Index  int          `json:"index"`
		Status string       `json:"status"`
		Error  *wireFailure `json:"error"`
	}
	damaged := fmt.Errorf("reading the registry's answer about a batch: %w", privacy.ErrDamaged)
	if json.Unmarshal(body, &answer) != nil || len(answer) > size {
		return nil, damaged
	}
	seen := make([]bool, size)
	var results []Result
	for _, a := range answer {
		if a.Index < 1 || a.Index > size || seen[a.Index-1] {
			return nil, damaged
		}
		seen[a.Index-1] = true
		r := Result{Index: a.Index - 1}
		switch a.Status {
		case "success":
			r.Taken = true
		case "failure":
			failure := Failure{Code: "unknown"}
			if a.Error != nil {
				failure = a.Error.failure()
			}
			r.Failure = &failure
		case "enqueue":
		default:
			return nil, damaged
		}
		results = append(results, r)
	}
	return results, nil
}
