package server

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/signal/gpc"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// route is one operation of the API.
type route struct {
	method, path string
	// roles are who may call. None means everybody, without a token.
	roles []privacy.Role
	// slow gives the longer timeout.
	slow bool
	// echoes returns the caller's request id whatever it looks like.
	echoes bool
	// public lets everybody in, without a token, where the log is public.
	public bool
	run    endpoint
}

func (r *route) admits(role privacy.Role) bool { return slices.Contains(r.roles, role) }

// routes is every operation. openapi.yaml has exactly these: a test holds that.
var routes = []route{
	{method: "POST", path: "/v1/query", roles: []privacy.Role{privacy.RoleService}, run: handle(http.StatusOK, query)},
	{method: "POST", path: "/v1/query:batch", roles: []privacy.Role{privacy.RoleService}, slow: true, run: queryBatch()},
	{method: "POST", path: pathEvaluation, roles: []privacy.Role{privacy.RoleService}, echoes: true, run: evaluation},
	{method: "POST", path: pathEvaluations, roles: []privacy.Role{privacy.RoleService}, slow: true, echoes: true, run: evaluations},
	{method: "GET", path: pathMetadata, echoes: true, run: showMetadata},
	{method: "POST", path: "/v1/audience", roles: []privacy.Role{privacy.RoleService}, slow: true, run: findAudience},
	{method: "POST", path: "/v1/consents", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusCreated, recordConsent)},
	{method: "POST", path: "/v1/signals", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusOK, recordSignals)},
	{method: "GET", path: gpc.WellKnown, run: showGPC},
	{method: "POST", path: "/v1/consents:show", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusOK, showConsents)},
	{method: "POST", path: "/v1/consents:withdraw", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusCreated, withdrawConsents)},
	{method: "POST", path: "/v1/consents:link", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusCreated, makeLink)},
	{method: "GET", path: pathWithdraw, run: showWithdrawal},
	{method: "POST", path: pathWithdraw, run: useWithdrawal},
	{method: "GET", path: pathReceipt, roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: showReceipt},
	{method: "GET", path: pathKeys, run: showKeys},
	{method: "POST", path: "/v1/cases", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusCreated, openCase)},
	{method: "POST", path: "/v1/cases:close", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusOK, closeCase)},
	{method: "POST", path: "/v1/objections", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusCreated, fileObjection)},
	{method: "POST", path: "/v1/complaints", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusCreated, fileComplaint)},
	{method: "POST", path: "/v1/dsar/requests", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusCreated, openRequest)},
	{method: "POST", path: "/v1/dsar/requests:step", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusOK, takeStep)},
	{method: "POST", path: "/v1/dsar/requests:send_code", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusOK, sendCode)},
	{method: "POST", path: "/v1/dsar/requests:verify", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO}, run: handle(http.StatusOK, verifyIdentity)},
	{method: "GET", path: "/v1/dsar/requests/{request_id}", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor}, run: showRequest},
	{method: "GET", path: "/v1/dsar/queue", roles: []privacy.Role{privacy.RoleDPO, privacy.RoleAuditor}, run: listRequests},
	{method: "GET", path: pathOpenDSRDiscovery, run: openDSRDiscovery},
	{method: "GET", path: pathOpenDSRCertificate, run: openDSRCertificate},
	{method: "POST", path: pathOpenDSRRequests, roles: []privacy.Role{privacy.RoleService}, run: openDSRAccept},
	{method: "GET", path: pathOpenDSRRequest, roles: []privacy.Role{privacy.RoleService}, run: openDSRStatus},
	{method: "DELETE", path: pathOpenDSRRequest, roles: []privacy.Role{privacy.RoleService}, run: openDSRCancel},
	{method: "POST", path: pathOpenGDPRRequests, roles: []privacy.Role{privacy.RoleService}, run: openDSRAccept},
	{method: "GET", path: pathOpenGDPRRequest, roles: []privacy.Role{privacy.RoleService}, run: openDSRStatus},
	{method: "DELETE", path: pathOpenGDPRRequest, roles: []privacy.Role{privacy.RoleService}, run: openDSRCancel},
	{method: "POST", path: pathOpenDSRCallbacks, run: openDSRCallback},
	{method: "POST", path: pathSnapshots, roles: []privacy.Role{privacy.RoleService}, slow: true, run: admitSnapshot},
	{method: "GET", path: pathSnapshot, roles: []privacy.Role{privacy.RoleService}, run: showSnapshot},
	{method: "POST", path: pathEvaluate, roles: []privacy.Role{privacy.RoleService}, slow: true, run: evaluateBlinded()},
	{method: "GET", path: pathRooms, roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor}, run: listRooms},
	{method: "GET", path: pathRoom, roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor}, run: showRoom},
	{method: "POST", path: pathContracts, roles: []privacy.Role{privacy.RoleService}, run: fileContract},
	{method: "GET", path: pathContracts, roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor}, run: listContracts},
	{method: "GET", path: pathContract, roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor}, run: showContract},
	{method: "POST", path: pathTemplates, roles: []privacy.Role{privacy.RoleService}, run: fileTemplate},
	{method: "GET", path: pathTemplates, roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor}, run: listTemplates},
	{method: "POST", path: pathRoomQueries, roles: []privacy.Role{privacy.RoleService}, slow: true, run: roomQuestion(askRoom)},
	{method: "POST", path: pathRoomPrice, roles: []privacy.Role{privacy.RoleService}, run: roomQuestion(priceRoom)},
	{method: "GET", path: pathRoomBudget, roles: []privacy.Role{privacy.RoleService}, run: showBudget},
	{method: "POST", path: pathActivations, roles: []privacy.Role{privacy.RoleService}, slow: true, run: activateRoom},
	{method: "POST", path: "/v1/ingest", roles: []privacy.Role{privacy.RoleIngest}, slow: true, run: ingest},
	{method: "POST", path: "/v1/reidentify", roles: []privacy.Role{privacy.RoleDPO}, run: handle(http.StatusOK, reidentify)},
	{method: "GET", path: "/v1/dsar/exports/{token}", slow: true, run: fetchExport},
	{method: "GET", path: "/v1/notices/{version}", roles: []privacy.Role{privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor}, run: showNotice},
	{method: "GET", path: "/v1/decisions/{decision_id}", roles: []privacy.Role{privacy.RoleAuditor, privacy.RoleDPO}, run: showDecision},
	{method: "GET", path: "/v1/audit/checkpoint", roles: []privacy.Role{privacy.RoleAuditor, privacy.RoleDPO}, run: checkpoint},
	{method: "GET", path: pathLogCheckpoint, roles: []privacy.Role{privacy.RoleAuditor, privacy.RoleDPO}, public: true, run: checkpoint},
	{method: "GET", path: pathLogTile, roles: []privacy.Role{privacy.RoleAuditor, privacy.RoleDPO}, public: true, run: logTile},
	{method: "GET", path: pathLogEntries, roles: []privacy.Role{privacy.RoleAuditor, privacy.RoleDPO}, run: logEntries},
	{method: "GET", path: "/healthz", run: alive},
	{method: "GET", path: "/readyz", run: ready},
	{method: "GET", path: "/metrics", run: showMetrics},
	{method: "GET", path: "/openapi.yaml", run: showOpenAPI},
}

//go:embed openapi.yaml
var openAPI []byte

func query(ctx context.Context, c *call, request *queryRequest) (answer, error) {
	if c.server.services.Gate == nil {
		return answer{}, refuse(unavailable)
	}
	question := request.query()
	question.Signals = c.hear(request.Signals)
	given, err := c.server.services.Gate.Ask(ctx, c.principal, question)
	if err != nil {
		return answer{}, err
	}
	if given.Receipt.IsZero() {
		return answer{}, errors.New("the gate gave an answer without evidence")
	}
	// The gate has checked the purpose against the catalogue, so the label is bounded.
	c.server.metrics.decided(request.Purpose, string(given.Decision))
	return answer{given, request.ConsentToken}, nil
}

func recordConsent(ctx context.Context, c *call, request *consentRequest) (consentAnswer, error) {
	ledger := c.server.services.Consent
	if ledger == nil {
		return consentAnswer{}, refuse(unavailable)
	}
	if err := c.mayReceipt(request); err != nil {
		return consentAnswer{}, err
	}
	change := request.change()
	var err error
	if change.DataSubject, err = c.find(ctx, request.DataSubject.ref()); err != nil {
		return consentAnswer{}, err
	}
	receipt, err := ledger.Record(ctx, c.principal, consent.Action(request.Action), change)
	if err == nil && receipt.IsZero() {
		err = errors.New("consent was recorded without evidence")
	}
	answer := consentAnswer{Receipt: receipt}
	if err == nil && request.Receipt != "" {
		answer.issued = c.receiptOf(ctx, receipt.Record.ID, request.Receipt)
	}
	return answer, err
}

// find returns the person whom the caller names. Who may not know whether a person exists
// names them by the pseudonym that they were given: by an identifier they could try out
// whom we know.
func (c *call) find(ctx context.Context, ref gate.Ref) (privacy.DataSubjectID, error) {
	if ref.Pseudonym == "" {
		if !c.principal.MayKnowWhetherPersonExists() {
			return privacy.DataSubjectID{}, refuseField(invalid, "/data_subject/identifier", "is for data protection officers; name the person by the pseudonym from an answer")
		}
		if c.server.services.Directory == nil {
			return privacy.DataSubjectID{}, refuse(unavailable)
		}
		id, err := c.server.services.Directory.ResolveIdentifier(ctx, ref.Identifier)
		if errors.Is(err, privacy.ErrInvalid) {
			return id, refuseField(invalid, "/data_subject/identifier/value", "is not an identifier of this kind")
		}
		return id, err
	}
	if c.principal.Recipient == "" {
		return privacy.DataSubjectID{}, refuseField(invalid, "/data_subject/pseudonym", "is for recipients; name the person by an identifier")
	}
	pseudonyms, err := c.pseudonyms(c.principal.Recipient)
	if err != nil {
		return privacy.DataSubjectID{}, err
	}
	id, err := pseudonyms.DataSubject(pseudonym.Pseudonym(ref.Pseudonym))
	if errors.Is(err, privacy.ErrInvalid) {
		return id, refuseField(invalid, "/data_subject/pseudonym", "is not a pseudonym of this recipient")
	}
	return id, err
}

func (c *call) pseudonyms(recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error) {
	if c.server.services.Pseudonyms == nil {
		return nil, refuse(unavailable)
	}
	return c.server.services.Pseudonyms.Of(recipient)
}

func reidentify(ctx context.Context, c *call, request *reidentifyRequest) (reidentified, error) {
	if c.server.services.Reidentify == nil {
		return reidentified{}, refuse(unavailable)
	}
	pseudonyms, err := c.pseudonyms(privacy.RecipientID(request.Recipient))
	if errors.Is(err, privacy.ErrNotFound) {
		err = refuseField(invalid, "/recipient", "is not a recipient with pseudonyms")
	}
	if err != nil {
		return reidentified{}, err
	}
	id, receipt, err := c.server.services.Reidentify.Reidentify(ctx, c.principal, privacy.Purpose(request.Purpose),
		pseudonyms, pseudonym.Pseudonym(request.Pseudonym))
	if err == nil && (receipt.IsZero() || id.IsZero()) {
		err = errors.New("a person was re-identified without evidence")
	}
	return reidentified{id, receipt}, err
}

// ingest takes a delivery. The body is read before the first line is worked on, so that
// a delivery that breaks off in the middle leaves nothing behind.
func ingest(ctx context.Context, c *call) error {
	if c.server.services.Intake == nil {
		return refuse(unavailable)
	}
	mapping, err := c.mapping()
	if err != nil {
		return err
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
	result, err := c.server.services.Intake.LoadStream(ctx, bytes.NewReader(buffer.data), intake.StreamOptions{Principal: c.principal, Mapping: mapping})
	if err != nil {
		return err
	}
	return c.writeJSON(http.StatusOK, ingestAnswer(result))
}

// mapping is the one that the query string names as map=NAME; none means that the lines
// have the fixed shape.
func (c *call) mapping() (*intake.Mapping, error) {
	if c.request.URL.RawQuery == "" {
		return nil, nil
	}
	parameters, err := url.ParseQuery(c.request.URL.RawQuery)
	if err != nil || len(parameters) != 1 || len(parameters["map"]) != 1 || !isMapName(parameters.Get("map")) {
		return nil, refuseField(malformed, "", "the query string must be empty or map=NAME, with the name of a mapping")
	}
	find := c.server.services.Mapping
	if find == nil {
		find = intake.BundledMapping
	}
	mapping, err := find(parameters.Get("map"))
	if errors.Is(err, privacy.ErrNotFound) {
		return nil, refuseField(invalid, "", "the query string names a mapping that is not here")
	}
	return mapping, err
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
