package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

// Config says how the mail server is reached.
type Config struct {
	// Server is host:port. Port 465 speaks TLS from the first byte, any other one after
	// STARTTLS.
	Server string
	// From is the bare address that the letters come from.
	From string
	// User and Password log in; both empty: nobody does.
	User     string
	Password privacy.Plain
	// DangerWithoutTLS sends addresses and codes in clear over the network. A server on
	// this machine needs no TLS in any case.
	DangerWithoutTLS bool
	// Roots are believed instead of the system's.
	Roots *x509.CertPool
	// Now dates the messages; nil: time.Now.
	Now func() time.Time
}

// Sender sends by one mail server.
type Sender struct {
	config Config
	host   string
	port   string
}

var _ outbox.Sender = (*Sender)(nil)

// New returns a sender. The error wraps [privacy.ErrInvalid].
func New(config Config) (*Sender, error) {
	host, port, err := net.SplitHostPort(config.Server)
	if err != nil || host == "" {
		return nil, fmt.Errorf("making mail sender: the server must be host:port: %w", privacy.ErrInvalid)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fmt.Errorf("making mail sender: the server must be host:port: %w", privacy.ErrInvalid)
	}
	if _, err := address(config.From); err != nil {
		return nil, fmt.Errorf("making mail sender: the sender must be a bare address: %w", err)
	}
	if (config.User == "") != config.Password.IsEmpty() {
		return nil, fmt.Errorf("making mail sender: user and password need each other: %w", privacy.ErrInvalid)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Sender{config: config, host: host, port: port}, nil
}

// FailureRefused is the word for a server that takes no message for the address.
const FailureRefused = "refused"

// Send implements [outbox.Sender].
func (s *Sender) Send(ctx context.Context, d outbox.Delivery, payload []byte) (outbox.Result, error) {
	letter, err := outbox.DecodeLetter(payload)
	if err != nil {
		return outbox.Result{}, err
	}
	to, err := address(letter.To.Value.RevealPersonalData())
	if err != nil || letter.To.Kind != privacy.Email {
		return outbox.Result{}, &outbox.Failure{Word: "no_address", Final: true}
	}
	message, err := compose(s.config.From, to, &d, &letter, s.config.Now())
	if err != nil {
		return outbox.Result{}, err
	}
	return outbox.Result{}, s.send(ctx, to, message)
}

func (s *Sender) send(ctx context.Context, to string, message []byte) error {
	client, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	// The deadline of a connection does not see that the caller has gone.
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	if s.config.User != "" {
		if err := client.Auth(smtp.PlainAuth("", s.config.User, s.config.Password.RevealPersonalData(), s.host)); err != nil {
			return &outbox.Failure{Word: "login"}
		}
	}
	if err := client.Mail(s.config.From); err != nil {
		return failure("sender", err, false)
	}
	// The server's reply often repeats the address: it stays here.
	if err := client.Rcpt(to); err != nil {
		return failure(FailureRefused, err, true)
	}
	writer, err := client.Data()
	if err != nil {
		return failure("data", err, false)
	}
	if _, err := writer.Write(message); err != nil {
		return failure("data", err, false)
	}
	if err := writer.Close(); err != nil {
		return failure(FailureRefused, err, true)
	}
	// The server has it. Whether it also says goodbye is of no matter.
	_ = client.Quit()
	return nil
}

// dial connects, with TLS unless the server is this machine or it was said to be done
// without.
func (s *Sender) dial(ctx context.Context) (*smtp.Client, error) {
	settings := &tls.Config{ServerName: s.host, RootCAs: s.config.Roots, MinVersion: tls.VersionTLS12}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.config.Server)
	if err != nil {
		return nil, &outbox.Failure{Word: outbox.FailureUnreachable, Err: err}
	}
	if until, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(until)
	}
	if s.port == "465" {
		secure := tls.Client(conn, settings)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, &outbox.Failure{Word: "tls", Err: err}
		}
		conn = secure
	}
	client, err := smtp.NewClient(conn, s.host)
	if err != nil {
		_ = conn.Close()
		return nil, failure(outbox.FailureUnreachable, err, false)
	}
	if s.port == "465" {
		return client, nil
	}
	if offered, _ := client.Extension("STARTTLS"); offered {
		if err := client.StartTLS(settings); err != nil {
			_ = client.Close()
			return nil, &outbox.Failure{Word: "tls", Err: err}
		}
		return client, nil
	}
	if !s.config.DangerWithoutTLS && !isLoopback(s.host) {
		_ = client.Close()
		return nil, &outbox.Failure{Word: "no_tls"}
	}
	return client, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// failure makes one of a reply. A reply of 500 and above is for good, where the step is one
// that depends on the address and not on how the server is set up.
func failure(word string, err error, aboutAddress bool) error {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return &outbox.Failure{Word: word + "_" + strconv.Itoa(reply.Code), Final: aboutAddress && reply.Code >= 500}
	}
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
		return &outbox.Failure{Word: outbox.FailureTimeout}
	}
	return &outbox.Failure{Word: word}
}
