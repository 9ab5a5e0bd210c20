package server

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// RoomFiler takes contracts and templates that members of a room have signed;
// [cleanroom.FilingDesk] is one. What it files is durable together with its entry.
type RoomFiler interface {
	FileContract(ctx context.Context, by privacy.Principal, room cleanroom.RoomID, signed []byte, reason string) (*cleanroom.ContractFiling, error)
	FileTemplate(ctx context.Context, by privacy.Principal, room cleanroom.RoomID, signed []byte) (*cleanroom.TemplateFiling, error)
}

const (
	pathContracts = "/v1/rooms/{room}/contracts"
	pathContract  = "/v1/rooms/{room}/contracts/{dataset}"
	pathTemplates = "/v1/rooms/{room}/templates"
)

// fileContract takes a signed note. Why a cap is raised is no part of what is signed, so it
// is in the query string.
func fileContract(ctx context.Context, c *call) error {
	reason, err := c.reason()
	if err != nil {
		return err
	}
	signed, err := c.readNote()
	if err != nil {
		return err
	}
	filed, err := c.server.services.RoomFiler.FileContract(ctx, c.principal, cleanroom.RoomID(c.request.PathValue("room")), signed, reason)
	if err != nil {
		return filingProblem(err)
	}
	return c.writeFiled(shownContract{filed.Contract, filed.Receipt}, filed.Repeated, filed.Receipt)
}

func fileTemplate(ctx context.Context, c *call) error {
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	signed, err := c.readNote()
	if err != nil {
		return err
	}
	filed, err := c.server.services.RoomFiler.FileTemplate(ctx, c.principal, cleanroom.RoomID(c.request.PathValue("room")), signed)
	if errors.Is(err, privacy.ErrConflict) {
		return refuseField(conflict, "/version", "this version says something else already, or the room was closed")
	}
	if err != nil {
		return filingProblem(err)
	}
	return c.writeFiled(shownTemplate{filed.Template, filed.Receipt}, filed.Repeated, filed.Receipt)
}

// reason is what the query string says as reason=TEXT.
func (c *call) reason() (string, error) {
	if c.request.URL.RawQuery == "" {
		return "", nil
	}
	parameters, err := url.ParseQuery(c.request.URL.RawQuery)
	if err != nil || len(parameters) != 1 || len(parameters["reason"]) != 1 {
		return "", refuseField(malformed, "", "the query string must be empty or reason=TEXT, which says why a cap is raised")
	}
	return parameters.Get("reason"), nil
}

// readNote reads a signed note, if there is somebody who files it.
func (c *call) readNote() ([]byte, error) {
	if c.server.services.RoomFiler == nil {
		return nil, refuse(unavailable)
	}
	buffer := buffers.get()
	defer buffers.put(buffer)
	if err := c.readBody(buffer, "text/plain", cleanroom.MaximumDocument); err != nil {
		return nil, err
	}
	return slices.Clone(buffer.data), nil
}

// filingProblem is what a caller is told of what was not filed.
func filingProblem(err error) error {
	if errors.Is(err, cleanroom.ErrSignature) {
		return &problem{kind: invalid, errors: []fieldProblem{{"", "the signature is not one of the party's key over these very bytes"}}, cause: err}
	}
	if _, field := errors.AsType[*privacy.FieldError](err); !field && errors.Is(err, privacy.ErrInvalid) && !errors.Is(err, privacy.ErrDamaged) {
		return &problem{kind: invalid, errors: []fieldProblem{{"", "this is nothing signed of its kind: the body is the note itself, as mahrem room contract sign or template sign writes it (docs/spec/room.md)"}}, cause: err}
	}
	return roomProblem(err)
}

// writeFiled answers with what was filed: 201 if it was now, 200 if it had been before.
func (c *call) writeFiled(document encoder, repeated bool, receipt audit.Receipt) error {
	if repeated {
		return c.writeJSON(http.StatusOK, document)
	}
	if receipt.IsZero() {
		return errors.New("something was filed without evidence")
	}
	return c.writeJSON(http.StatusCreated, document)
}

// shownIn returns the room of the path, if the caller is shown it.
func (c *call) shownIn(ctx context.Context) (*cleanroom.Room, error) {
	if c.request.URL.RawQuery != "" {
		return nil, refuse(malformed)
	}
	if c.server.services.Rooms == nil {
		return nil, refuse(unavailable)
	}
	room, err := c.server.services.Rooms.RoomOf(ctx, cleanroom.RoomID(c.request.PathValue("room")))
	if errors.Is(err, privacy.ErrNotFound) || err == nil && !maySee(c.principal, room) {
		return nil, refuse(notFound)
	}
	return room, err
}

// listContracts shows the contracts in force of a room's datasets.
func listContracts(ctx context.Context, c *call) error {
	room, err := c.shownIn(ctx)
	if err != nil {
		return err
	}
	contracts, err := c.server.services.Rooms.ContractsInForce(ctx)
	if err != nil {
		return err
	}
	shown := shownList{key: "contracts"}
	for _, filed := range contracts {
		if slices.Contains(room.Datasets, filed.Ref()) {
			shown.items = append(shown.items, shownContract{FiledContract: filed})
		}
	}
	return c.writeJSON(http.StatusOK, shown)
}

// showContract shows all versions of a contract, newest first.
func showContract(ctx context.Context, c *call) error {
	room, err := c.shownIn(ctx)
	if err != nil {
		return err
	}
	ref, err := cleanroom.ParseDatasetRef(c.request.PathValue("dataset"))
	if err != nil || !slices.Contains(room.Datasets, ref) {
		return refuse(notFound)
	}
	versions, err := c.server.services.Rooms.Contracts(ctx, ref)
	if err != nil {
		return err
	}
	if len(versions) == 0 {
		return refuse(notFound)
	}
	shown := shownList{key: "versions"}
	for _, filed := range versions {
		shown.items = append(shown.items, shownContract{FiledContract: filed})
	}
	return c.writeJSON(http.StatusOK, shown)
}

func listTemplates(ctx context.Context, c *call) error {
	room, err := c.shownIn(ctx)
	if err != nil {
		return err
	}
	templates, err := c.server.services.Rooms.Templates(ctx, room.ID)
	if err != nil {
		return err
	}
	shown := shownList{key: "templates"}
	for _, signed := range templates {
		shown.items = append(shown.items, shownTemplate{SignedTemplate: signed})
	}
	return c.writeJSON(http.StatusOK, shown)
}

// shownList is an object with one list.
type shownList struct {
	key   string
	items []encoder
}

func (s shownList) appendJSON(b []byte) (_ []byte, err error) {
	b = append(appendKey(append(b, '{'), s.key), '[')
	for i, item := range s.items {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = item.appendJSON(b); err != nil {
			return nil, err
		}
	}
	return append(b, ']', '}'), nil
}

type shownContract struct {
	*cleanroom.FiledContract
	receipt audit.Receipt
}

func (s shownContract) appendJSON(b []byte) ([]byte, error) {
	canonical, err := s.Contract.Canonical()
	if err != nil {
		return nil, err
	}
	b = append(b, '{')
	b = appendString(appendKey(b, "dataset"), s.Ref().String())
	b = appendInt(appendKey(b, "version"), int64(s.Contract.Version))
	b = appendString(appendKey(b, "digest"), hex.EncodeToString(s.Digest[:]))
	b = appendString(appendKey(b, "added_at"), s.AddedAt.UTC().Format(time.RFC3339))
	if s.RaisedBecause != "" {
		b = appendString(appendKey(b, "raised_because"), s.RaisedBecause)
	}
	b = append(appendKey(b, "contract"), canonical...)
	b = appendString(appendKey(b, "note"), string(s.Note))
	if !s.receipt.IsZero() {
		b = appendLog(appendKey(b, "log"), s.receipt)
	}
	return append(b, '}'), nil
}

type shownTemplate struct {
	*cleanroom.SignedTemplate
	receipt audit.Receipt
}

func (s shownTemplate) appendJSON(b []byte) ([]byte, error) {
	query, err := json.Marshal(&s.Template.Query)
	if err != nil {
		return nil, err
	}
	b = append(b, '{')
	b = appendString(appendKey(b, "room"), string(s.Template.Query.Room))
	b = appendString(appendKey(b, "template"), s.Template.String())
	b = appendString(appendKey(b, "digest"), hex.EncodeToString(s.Digest[:]))
	b = appendStrings(appendKey(b, "signed_by"), s.Signers)
	b = appendStrings(appendKey(b, "holes"), s.Template.Holes())
	b = append(appendKey(b, "query"), query...)
	b = appendString(appendKey(b, "note"), string(s.Note))
	if !s.receipt.IsZero() {
		b = appendLog(appendKey(b, "log"), s.receipt)
	}
	return append(b, '}'), nil
}
