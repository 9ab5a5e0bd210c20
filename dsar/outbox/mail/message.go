package mail

import (
	"bytes"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"

	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

// address reads one bare address. The error does not repeat it.
func address(text string) (string, error) {
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Name != "" || parsed.Address != text || strings.ContainsAny(text, "\r\n<>\" ") {
		return "", fmt.Errorf("reading e-mail address: %w", privacy.ErrInvalid)
	}
	return parsed.Address, nil
}

// compose writes the message (RFC 5322). Every part of it was checked to be one line, or is
// encoded so that it is.
func compose(from, to string, d *outbox.Delivery, letter *outbox.Letter, now time.Time) ([]byte, error) {
	_, domain, _ := strings.Cut(from, "@")
	var b bytes.Buffer
	header := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	header("From", "<"+from+">")
	header("To", "<"+to+">")
	header("Subject", mime.BEncoding.Encode("utf-8", letter.Subject))
	header("Date", now.UTC().Format(time.RFC1123Z))
	header("Message-ID", "<"+d.ID.String()+"@"+domain+">")
	header("Content-Language", letter.Language)
	header("Auto-Submitted", "auto-generated")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	body := quotedprintable.NewWriter(&b)
	text := strings.ReplaceAll(letter.Text.RevealPersonalData(), "\r\n", "\n")
	if _, err := body.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		return nil, fmt.Errorf("composing e-mail: %w", err)
	}
	if err := body.Close(); err != nil {
		return nil, fmt.Errorf("composing e-mail: %w", err)
	}
	return b.Bytes(), nil
}
