package server

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// route is one operation of the API.
type route struct {
	method, path string
	// roles are who may call. None means everybody, without a token.
	roles []privacy.Role
	// slow gives the longer timeout.
	slow bool
	run  endpoint
}

func (r *route) admits(role privacy.Role) bool { return slices.Contains(r.roles, role) }

// routes is every operation. openapi.yaml has exactly these: a test holds that.
var routes = []route{
	{method: "POST", path: "/v1/query", roles: []privacy.Role{privacy.RoleService}, run: handle(http.StatusOK, query)},
	{method: "POST", path: "/v1/consents", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusCreated, recordConsent)},
	{method: "POST", path: "/v1/ingest", roles: []privacy.Role{privacy.RoleIngest}, slow: true, run: ingest},
	{method: "POST", path: "/v1/reidentify", roles: []privacy.Role{privacy.RoleDPO}, run: handle(http.StatusOK, reidentify)},
	{method: "GET", path: "/v1/audit/checkpoint", roles: []privacy.Role{privacy.RoleAuditor, privacy.RoleDPO}, run: checkpoint},
	{method: "GET", path: "/healthz", run: alive},
	{method: "GET", path: "/readyz", run: ready},
	{method: "GET", path: "/metrics", run: showMetrics},
	{method: "GET", path: "/openapi.yaml", run: showOpenAPI},
}

//go:embed openapi.yaml
var openAPI []byte

func query(ctx context.Context, c *call, request *queryRequest) (Answer, error) {
	if c.server.services.Gate == nil {
		return Answer{}, refuse(unavailable)
	}
	answer, err := c.server.services.Gate.Ask(ctx, c.principal, request.query())
	if err != nil {
		return Answer{}, err
	}
	if answer.Receipt.IsZero() {
		return Answer{}, errors.New("the gate gave an answer without evidence")
	}
	// The gate has checked the purpose against the catalogue, so the label is bounded.
	c.server.metrics.decided(request.Purpose, answer.Decision)
	return answer, nil
}

func recordConsent(ctx context.Context, c *call, request *consentRequest) (consentAnswer, error) {
	ledger := c.server.services.Consent
	if ledger == nil || c.server.services.People == nil {
		return consentAnswer{}, refuse(unavailable)
	}
	record := map[consent.Action]func(context.Context, privacy.Principal, consent.Change) (consent.Receipt, error){
		consent.Granted: ledger.Grant, consent.Refused: ledger.Refuse, consent.Withdrawn: ledger.Withdraw, consent.Objected: ledger.Object,
	}[consent.Action(request.Action)]
	if record == nil {
		return consentAnswer{}, refuseField(invalid, "/action", "is not an action")
	}
	change := request.change()
	var err error
	if change.DataSubject, err = c.server.services.People.Resolve(ctx, c.principal, request.DataSubject.ref()); err != nil {
		return consentAnswer{}, err
	}
	receipt, err := record(ctx, c.principal, change)
	if err == nil && receipt.IsZero() {
		err = errors.New("consent was recorded without evidence")
	}
	return consentAnswer(receipt), err
}

func reidentify(ctx context.Context, c *call, request *reidentifyRequest) (Reidentified, error) {
	if c.server.services.Pseudonyms == nil {
		return Reidentified{}, refuse(unavailable)
	}
	found, err := c.server.services.Pseudonyms.Reidentify(ctx, c.principal, Reidentification{
		Recipient: privacy.RecipientID(request.Recipient), Pseudonym: request.Pseudonym, Purpose: privacy.Purpose(request.Purpose),
	})
	if err == nil && found.Receipt.IsZero() {
		err = errors.New("a person was re-identified without evidence")
	}
	return found, err
}

// ingest takes a delivery. The body is read before the first line is worked on, so that
// a delivery that breaks off in the middle leaves nothing behind.
func ingest(ctx context.Context, c *call) error {
	if c.server.services.Intake == nil {
		return refuse(unavailable)
	}
	parameters, err := url.ParseQuery(c.request.URL.RawQuery)
	if err != nil || len(parameters) != 1 || len(parameters["map"]) != 1 || !isMapName(parameters.Get("map")) {
		return refuseField(malformed, "", "the query string must be map=NAME, with the name of a mapping")
	}
	select {
	case c.server.ingests <- struct{}{}:
		defer func() { <-c.server.ingests }()
	default:
		return &problem{kind: unavailable, cause: errors.New("too many deliveries at once")}
	}
	buffer := buffers.get()
	defer buffers.put(buffer)
	if err := c.readBody(buffer, "application/x-ndjson", c.server.config.IngestLimit); err != nil {
		return err
	}
	summary, err := c.server.services.Intake.Ingest(ctx, c.principal, Delivery{Map: parameters.Get("map"), Lines: buffer.data})
	if err != nil {
		return err
	}
	return c.writeJSON(http.StatusOK, summary)
}

// isMapName keeps paths out of a name that others may look up as a file.
func isMapName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

func checkpoint(ctx context.Context, c *call) error {
	if c.server.services.Log == nil {
		return refuse(unavailable)
	}
	note, err := c.server.services.Log.LatestCheckpoint(ctx)
	if errors.Is(err, privacy.ErrNotFound) {
		// There will be one: the log signs its first checkpoint soon after it starts.
		err = fmt.Errorf("%w: no checkpoint is signed yet", privacy.ErrUnavailable)
	}
	if err != nil {
		return err
	}
	c.write(http.StatusOK, headerText, note)
	return nil
}

func showOpenAPI(_ context.Context, c *call) error {
	c.write(http.StatusOK, headerYAML, openAPI)
	return nil
}
