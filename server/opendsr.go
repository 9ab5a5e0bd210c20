package server

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/privacy"
)

// ProcessorDesk takes requests of controllers as their processor; [opendsr.Desk] is one.
// Each method must return after the change and its log entry are durable, and a refusal
// must be in the log.
type ProcessorDesk interface {
	Discovery(version opendsr.Version) (opendsr.Reply, error)
	Certificate() []byte
	Accept(ctx context.Context, by privacy.Principal, version opendsr.Version, body []byte) (opendsr.Reply, error)
	Status(ctx context.Context, by privacy.Principal, version opendsr.Version, id opendsr.SubjectRequestID) (opendsr.Reply, error)
	Cancel(ctx context.Context, by privacy.Principal, version opendsr.Version, id opendsr.SubjectRequestID) (opendsr.Reply, error)
}

// CallbackListener hears what processors say; [opendsr.Listener] is one. It must believe
// nothing without its signature, and must log a refusal before it returns.
type CallbackListener interface {
	Callback(ctx context.Context, message opendsr.Signed) error
}

// The routes. The noun of the collection changed with 2.0, and both stay honoured
// (section 10.1).
const (
	pathOpenDSRDiscovery   = "/opendsr/{version}/discovery"
	pathOpenDSRRequests    = "/opendsr/{version}/requests"
	pathOpenDSRRequest     = "/opendsr/{version}/requests/{subject_request_id}"
	pathOpenGDPRRequests   = "/opendsr/{version}/opengdpr_requests"
	pathOpenGDPRRequest    = "/opendsr/{version}/opengdpr_requests/{subject_request_id}"
	pathOpenDSRCertificate = "/opendsr/certificate.pem"
	pathOpenDSRCallbacks   = "/opendsr/callbacks"
)

// openDSRVersion reads the version in the path.
func openDSRVersion(c *call) (opendsr.Version, error) {
	version, err := opendsr.ParsePathVersion(c.request.PathValue("version"))
	if err != nil {
		return "", refuse(notFound)
	}
	if c.request.URL.RawQuery != "" {
		return "", refuse(malformed)
	}
	return version, nil
}

// desk returns the processor desk; a house without a certificate is nobody's processor.
func (c *call) processorDesk() (ProcessorDesk, error) {
	if c.server.services.Processor == nil {
		return nil, refuse(unavailable)
	}
	return c.server.services.Processor, nil
}

func openDSRDiscovery(_ context.Context, c *call) error {
	version, err := openDSRVersion(c)
	if err != nil {
		return err
	}
	desk, err := c.processorDesk()
	if err != nil {
		return err
	}
	reply, err := desk.Discovery(version)
	return c.writeSigned(http.StatusOK, version, reply, err)
}

func openDSRCertificate(_ context.Context, c *call) error {
	desk, err := c.processorDesk()
	if err != nil {
		return err
	}
	c.write(http.StatusOK, headerText, desk.Certificate())
	return nil
}

func openDSRAccept(ctx context.Context, c *call) error {
	version, err := openDSRVersion(c)
	if err != nil {
		return err
	}
	desk, err := c.processorDesk()
	if err != nil {
		return err
	}
	buffer := buffers.get()
	defer buffers.put(buffer)
	if err := c.readBody(buffer, "application/json", opendsr.MaxBody); err != nil {
		return err
	}
	reply, err := desk.Accept(ctx, c.principal, version, buffer.data)
	return c.writeSigned(http.StatusCreated, version, reply, err)
}

func openDSRStatus(ctx context.Context, c *call) error {
	return c.aboutRequest(ctx, http.StatusOK, ProcessorDesk.Status)
}

func openDSRCancel(ctx context.Context, c *call) error {
	return c.aboutRequest(ctx, http.StatusAccepted, ProcessorDesk.Cancel)
}

func (c *call) aboutRequest(ctx context.Context, status int,
	do func(ProcessorDesk, context.Context, privacy.Principal, opendsr.Version, opendsr.SubjectRequestID) (opendsr.Reply, error),
) error {
	version, err := openDSRVersion(c)
	if err != nil {
		return err
	}
	desk, err := c.processorDesk()
	if err != nil {
		return err
	}
	id, err := opendsr.ParseSubjectRequestID(c.request.PathValue("subject_request_id"))
	if err != nil {
		return c.writeSigned(status, version, opendsr.Reply{}, err)
	}
	reply, err := do(desk, ctx, c.principal, version, id)
	return c.writeSigned(status, version, reply, err)
}

// openDSRCallback takes a callback of a processor, who has no token: the signature says
// who it is. The codes are those of the protocol's security guidelines, and 403 for what
// is believed and yet wrong here.
func openDSRCallback(ctx context.Context, c *call) error {
	if c.server.services.Callbacks == nil {
		return refuse(unavailable)
	}
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	buffer := buffers.get()
	defer buffers.put(buffer)
	if err := c.readBody(buffer, "application/json", opendsr.MaxBody); err != nil {
		return err
	}
	message := opendsr.Signed{Body: buffer.data}
	for _, v := range []opendsr.Version{opendsr.V2, opendsr.V1} {
		if message.Signature == "" {
			message.Domain, message.Signature = c.request.Header.Get(v.DomainHeader()), c.request.Header.Get(v.SignatureHeader())
		}
	}
	err := c.server.services.Callbacks.Callback(ctx, message)
	if refusal, ok := errors.AsType[*opendsr.Refusal](err); ok {
		c.writeRefusal(callbackStatus(refusal), refusal)
		return nil
	}
	if err != nil {
		return err
	}
	c.write(http.StatusAccepted, headerJSON, []byte("{}"))
	return nil
}

func callbackStatus(refusal *opendsr.Refusal) int {
	switch {
	case refusal.Check == opendsr.CheckSignature, refusal.Check == opendsr.CheckSigned:
		return http.StatusBadRequest
	case refusal.Check == opendsr.CheckDomain, strings.HasPrefix(refusal.Check, "certificate."):
		return http.StatusUnauthorized
	case refusal.Check == opendsr.CheckCallbackOurs, refusal.Check == opendsr.CheckRequestKnown:
		return http.StatusForbidden
	case refusal.Check == opendsr.CheckForward:
		return http.StatusConflict
	}
	return http.StatusBadRequest
}

// writeSigned sends an answer with its signature, or what the protocol says of a refusal:
// 400 with the error object (sections 7.5 and 7.6).
func (c *call) writeSigned(status int, version opendsr.Version, reply opendsr.Reply, err error) error {
	if refusal, ok := errors.AsType[*opendsr.Refusal](err); ok {
		if refusal.Check == opendsr.CheckControllerKnown {
			return refuse(forbidden)
		}
		c.writeRefusal(http.StatusBadRequest, refusal)
		return nil
	}
	if err != nil {
		return err
	}
	if reply.Signature == "" || len(reply.Body) == 0 {
		return errors.New("an OpenDSR answer without a signature")
	}
	header := c.writer.Header()
	header.Set(version.DomainHeader(), reply.Domain)
	header.Set(version.SignatureHeader(), reply.Signature)
	if !reply.Receipt.IsZero() {
		header[headerLog] = logHeader(reply.Receipt)
	}
	c.write(status, headerJSON, reply.Body)
	return nil
}

func (c *call) writeRefusal(status int, refusal *opendsr.Refusal) {
	c.write(status, headerJSON, opendsr.EncodeError(status, refusal))
}
