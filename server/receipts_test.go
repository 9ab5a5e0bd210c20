package server

import (
	"regexp"
	"strings"
	"testing"
)

// withoutReceipt are the routes whose good answers have no receipt, and why.
var withoutReceipt = map[string]string{
	"GET /v1/dsar/requests/{request_id}": "a service learns whether its own request is open, which nothing is opened for; a showing to an officer has one",
	"GET /v1/dsar/queue":                 "lists numbers and due dates; nothing about a person is opened",
	"GET " + pathOpenDSRRequest:          "says how a request of the caller stands; nothing is changed or opened",
	"GET " + pathOpenGDPRRequest:         "says how a request of the caller stands; nothing is changed or opened",
	"POST " + pathOpenDSRCallbacks:       "the caller is a processor whose message, and not a question about a person, is logged",
	"POST /v1/consents:link":             "makes a link, which changes nothing until somebody uses it",
	"GET " + pathWithdraw:                "says what a link does; nothing is changed or opened",
	"GET /v1/audit/checkpoint":           "is the log itself",
	"GET " + pathLogCheckpoint:           "is the log itself",
	"GET " + pathLogTile:                 "is the log itself",
	"GET " + pathLogEntries:              "is the log itself; log.read is in it once an hour and not for each answer",
	"GET /v1/notices/{version}":          "is what everybody is shown",
	"GET " + pathRooms:                   "shows settings to those who are in them",
	"GET " + pathRoom:                    "shows settings to those who are in them",
	"GET " + pathSnapshot:                "says how much has come of what the caller sends",
	"GET " + pathRoomBudget:              "says what is left, and nothing of the data",
	"GET /healthz":                       "says how the server is",
	"GET /readyz":                        "says how the server is",
	"GET /metrics":                       "says how the server is",
	"GET /openapi.yaml":                  "is the contract",
	"GET " + pathKeys:                    "public keys",
	"GET " + pathMetadata:                "says what the server can do",
	"GET /.well-known/gpc.json":          "says that the house listens",
	"GET " + pathContracts:               "shows settings that their owners have signed",
	"GET " + pathContract:                "shows settings that their owners have signed",
	"GET " + pathTemplates:               "shows settings that parties have signed",
	"GET " + pathOpenDSRDiscovery:        "says what the server can do",
	"GET " + pathOpenDSRCertificate:      "a public certificate",
}

var receiptForm = regexp.MustCompile(`\{"index":\d+,"leaf_hash":"[0-9a-f]{64}"\}`)

// TestAnswersCarryReceipts: whoever keeps the answers they got can hold the log to them. A
// route that is new must either give a receipt or say why there is none.
func TestAnswersCarryReceipts(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	for i := range routes {
		name := routes[i].method + " " + routes[i].path
		w := do(s, good(&routes[i]))
		if w.Code/100 != 2 {
			t.Errorf("%s: status %d", name, w.Code)
			continue
		}
		header := w.Header().Get("Mahrem-Log")
		found := len(receiptForm.FindAllString(w.Body.String(), -1))
		if header != "" {
			found++
			if !regexp.MustCompile(`^index=\d+, leaf_hash=[0-9a-f]{64}$`).MatchString(header) {
				t.Errorf("%s: Mahrem-Log is %q", name, header)
			}
		}
		switch why := withoutReceipt[name]; {
		case why == "" && found == 0:
			t.Errorf("%s: the answer has no receipt, and no reason is given: %.200s", name, w.Body)
		case why != "" && found > 0 && routes[i].path != "/openapi.yaml": // which has them in its examples
			t.Errorf("%s: the answer has a receipt although %q", name, why)
		}
	}
	// One for each answer of many.
	for path, body := range map[string]string{
		"/v1/query:batch": queryBody + "\n" + queryBody + "\n" + queryBody + "\n",
		pathEvaluations:   strings.TrimSuffix(personBody, "}") + `,"evaluations":[{},{},{}]}`,
	} {
		contentType := "application/json"
		if path == "/v1/query:batch" {
			contentType = "application/x-ndjson"
		}
		w := do(s, request{target: path, token: "service", contentType: contentType, body: body})
		if found := len(receiptForm.FindAllString(w.Body.String(), -1)); found != 3 {
			t.Errorf("%s: %d receipts for three answers: %s", path, found, w.Body)
		}
	}
}
