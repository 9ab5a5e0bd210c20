package mail_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/dsar/outbox/mail"
	"github.com/mahrem/mahrem/privacy"
)

var (
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	delivery = outbox.Delivery{ID: outbox.ID{0xab, 6: 0x40, 8: 0x80, 15: 1}, Kind: outbox.SMTP, Destination: "person", Topic: "code"}
)

func letter(t testing.TB, change func(*outbox.Letter)) []byte {
	t.Helper()
	l := outbox.Letter{
		To:       privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("ayse@example.com")},
		Language: "tr", Subject: "Başvurunuz için kod", Text: privacy.NewPlain("Kodunuz: 12345678\n.\nSayın ilgili kişi"),
	}
	if change != nil {
		change(&l)
	}
	payload, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// server speaks as much SMTP as a test needs, and keeps what it got.
type server struct {
	address string
	got     chan string
}

// newServer answers each command with what replies has for its first word, or yes.
func newServer(t *testing.T, greeting string, replies map[string]string) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s := &server{listener.Addr().String(), make(chan string, 1)}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.talk(conn, greeting, replies)
		}
	}()
	return s
}

func (s *server) talk(conn net.Conn, greeting string, replies map[string]string) {
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, greeting+"\r\n"); err != nil {
		return
	}
	in := bufio.NewReader(conn)
	var data strings.Builder
	for reading := false; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if reading && line != ".\r\n" {
			data.WriteString(line)
			continue
		}
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if reading {
			word, reading = "END", false
			s.got <- data.String()
		}
		reply := replies[word]
		if reply == "" {
			reply = map[string]string{"DATA": "354 go on", "EHLO": "250 hello", "QUIT": "221 bye"}[word]
		}
		if reply == "" {
			reply = "250 yes"
		}
		reading = word == "DATA" && strings.HasPrefix(reply, "354")
		if _, err := io.WriteString(conn, reply+"\r\n"); err != nil {
			return
		}
	}
}

func newSender(t testing.TB, server string) *mail.Sender {
	t.Helper()
	sender, err := mail.New(mail.Config{Server: server, From: "privacy@shop.example", Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func TestSend(t *testing.T) {
	t.Parallel()
	s := newServer(t, "220 here", nil)
	if _, err := newSender(t, s.address).Send(t.Context(), delivery, letter(t, nil)); err != nil {
		t.Fatal(err)
	}
	message, err := netmail.ReadMessage(strings.NewReader(<-s.got))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil || subject != "Başvurunuz için kod" {
		t.Errorf("subject %q, %v", subject, err)
	}
	for name, want := range map[string]string{
		"From": "<privacy@shop.example>", "To": "<ayse@example.com>", "Auto-Submitted": "auto-generated",
		"Message-Id": "<" + delivery.ID.String() + "@shop.example>", "Date": "Sun, 01 Mar 2026 12:00:00 +0000", "Content-Language": "tr",
	} {
		if got := message.Header.Get(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	body, err := io.ReadAll(quotedprintable.NewReader(message.Body))
	// The line with one dot is doubled on the way, as RFC 5321 has it.
	if want := "Kodunuz: 12345678\r\n..\r\nSayın ilgili kişi\r\n"; err != nil || string(body) != want {
		t.Errorf("body %q, %v", body, err)
	}
}

func TestSendSaysWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		greeting string
		replies  map[string]string
		want     outbox.Failure
	}{
		"busy":                {"421 later", nil, outbox.Failure{Word: "unreachable_421"}},
		"nobody of that name": {"220 here", map[string]string{"RCPT": "550 no ayse@example.com"}, outbox.Failure{Word: "refused_550", Final: true}},
		"greylisted":          {"220 here", map[string]string{"RCPT": "450 later"}, outbox.Failure{Word: "refused_450"}},
		"not as this sender":  {"220 here", map[string]string{"MAIL": "553 no"}, outbox.Failure{Word: "sender_553"}},
		"no data":             {"220 here", map[string]string{"DATA": "554 no"}, outbox.Failure{Word: "data_554"}},
		"taken for spam":      {"220 here", map[string]string{"END": "554 spam"}, outbox.Failure{Word: "refused_554", Final: true}},
		"full":                {"220 here", map[string]string{"END": "452 full"}, outbox.Failure{Word: "refused_452"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, c.greeting, c.replies)
			_, err := newSender(t, s.address).Send(t.Context(), delivery, letter(t, nil))
			failure, ok := errors.AsType[*outbox.Failure](err)
			if !ok || failure.Word != c.want.Word || failure.Final != c.want.Final {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "ayse") {
				t.Errorf("the error names somebody: %v", err)
			}
		})
	}
}

// TestSendWantsTLS: to a server elsewhere nothing is said in clear. 192.0.2.0/24 would be
// elsewhere; an address that leads here and is none of loopback is enough for the rule.
func TestSendWantsTLS(t *testing.T) {
	t.Parallel()
	s := newServer(t, "220 here", nil)
	_, port, _ := net.SplitHostPort(s.address)
	elsewhere := "0.0.0.0:" + port
	_, err := newSender(t, elsewhere).Send(t.Context(), delivery, letter(t, nil))
	if failure, ok := errors.AsType[*outbox.Failure](err); !ok || failure.Word != "no_tls" || failure.Final {
		t.Errorf("in clear: %v", err)
	}
	sender, err := mail.New(mail.Config{Server: elsewhere, From: "privacy@shop.example", DangerWithoutTLS: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sender.Send(t.Context(), delivery, letter(t, nil)); err != nil {
		t.Errorf("when told to: %v", err)
	}
}

func TestSendRefusesAddresses(t *testing.T) {
	t.Parallel()
	sender := newSender(t, "127.0.0.1:1")
	for name, change := range map[string]func(*outbox.Letter){
		"a phone": func(l *outbox.Letter) {
			l.To = privacy.Identifier{Kind: privacy.Phone, Value: privacy.NewPlain("+905551112233")}
		},
		"two":          func(l *outbox.Letter) { l.To.Value = privacy.NewPlain("a@example.com, b@example.com") },
		"with a name":  func(l *outbox.Letter) { l.To.Value = privacy.NewPlain("Ayse <a@example.com>") },
		"not one":      func(l *outbox.Letter) { l.To.Value = privacy.NewPlain("ayse") },
		"with a space": func(l *outbox.Letter) { l.To.Value = privacy.NewPlain("a@example.com x") },
	} {
		_, err := sender.Send(t.Context(), delivery, letter(t, change))
		if failure, ok := errors.AsType[*outbox.Failure](err); !ok || failure.Word != "no_address" || !failure.Final {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sender.Send(t.Context(), delivery, []byte("{}")); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("no letter: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := sender.Send(ctx, delivery, letter(t, nil))
	if failure, ok := errors.AsType[*outbox.Failure](err); !ok || failure.Word != outbox.FailureUnreachable {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]mail.Config{
		"no server":        {From: "a@b.example"},
		"no port":          {Server: "mail.example", From: "a@b.example"},
		"port of words":    {Server: "mail.example:smtp", From: "a@b.example"},
		"no sender":        {Server: "mail.example:25"},
		"sender with name": {Server: "mail.example:25", From: "A <a@b.example>"},
		"two lines":        {Server: "mail.example:25", From: "a@b.example\r\nBcc: x@y.example"},
		"user alone":       {Server: "mail.example:25", From: "a@b.example", User: "u"},
		"password alone":   {Server: "mail.example:25", From: "a@b.example", Password: privacy.NewPlain("p")},
	} {
		if _, err := mail.New(config); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
