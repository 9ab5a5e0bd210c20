package assembly

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/dsar/outbox/mail"
	"github.com/mahrem/mahrem/dsar/outbox/webhook"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

// openOutbox opens what leaves the house, with the ways that are set up.
func (h *House) openOutbox() error {
	h.Outbox = postgres.NewOutboxStore(h.DB, h.Log)
	h.senders = map[outbox.Kind]outbox.Sender{}
	settings := h.Settings.Delivery
	if settings.Webhook != "" {
		text, err := readSecret(settings.WebhookSecret)
		if err != nil {
			return err
		}
		secret, err := webhook.ParseSecret(text)
		if err != nil {
			return fmt.Errorf("%s: %w", settings.WebhookSecret, err)
		}
		sender, err := webhook.New(settings.Webhook, secret, webhook.Config{Random: h.options.Random})
		if err != nil {
			return err
		}
		h.addSender(outbox.Webhook, sender)
	}
	if settings.SMTP != "" {
		config := mail.Config{
			Server: settings.SMTP, From: settings.SMTPFrom, User: settings.SMTPUser, DangerWithoutTLS: settings.DangerSMTPWithoutTLS,
		}
		if settings.SMTPPassword != "" {
			text, err := readSecret(settings.SMTPPassword)
			if err != nil {
				return err
			}
			config.Password = privacy.NewPlain(text)
		}
		sender, err := mail.New(config)
		if err != nil {
			return err
		}
		h.addSender(outbox.SMTP, sender)
	}
	return nil
}

// addSender has deliveries of a kind sent by sender, once the worker runs. Rooms add theirs
// while the house is opened.
func (h *House) addSender(kind outbox.Kind, sender outbox.Sender) { h.senders[kind] = sender }

// ways are the kinds by which letters reach people, the preferred one first.
func (h *House) ways() []outbox.Kind {
	var ways []outbox.Kind
	for _, kind := range []outbox.Kind{outbox.Webhook, outbox.SMTP} {
		if h.senders[kind] != nil {
			ways = append(ways, kind)
		}
	}
	return ways
}

// maxSecretFile bounds what is read as a secret.
const maxSecretFile = 4096

// readSecret reads a file that nobody but its owner may read.
func readSecret(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("opening secret: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("opening secret: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others; run: chmod 600 %s: %w", path, path, privacy.ErrForbidden)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSecretFile))
	if err != nil {
		return "", fmt.Errorf("reading secret: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// newWorker returns a worker over the senders of this house.
func (h *House) newWorker() (*outbox.Worker, error) {
	return outbox.NewWorker(h.Outbox, h.Keys.Vault(), h.senders, outbox.Config{})
}

// Delivering delivers what is due, behind whoever makes deliveries, until ctx ends. The
// channel is closed when it has stopped.
func (h *House) Delivering(ctx context.Context, every time.Duration) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		worker, err := h.newWorker()
		if err != nil {
			h.options.Logger.Error("nothing is delivered", "error", err)
			return
		}
		worker.Run(ctx, every, func(err error) { h.options.Logger.Warn("deliveries not made, they stay due", "error", err) })
	}()
	return stopped
}

// Deliver makes one attempt at everything that is due now.
func (h *House) Deliver(ctx context.Context) (arrived, failed int, err error) {
	worker, err := h.newWorker()
	if err != nil {
		return 0, 0, err
	}
	return worker.Once(ctx)
}

// outboxGauges count deliveries for /metrics, at most every ten seconds.
func (h *House) outboxGauges() []server.Gauge {
	count := remembered(10*time.Second, func() [2]float64 {
		ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
		defer cancel()
		pending, dead, err := h.Outbox.Count(ctx)
		if err != nil {
			return [2]float64{-1, -1}
		}
		return [2]float64{float64(pending), float64(dead)}
	})
	return []server.Gauge{
		{Name: "mahrem_outbox_pending", Help: "Deliveries that wait to be made; -1 if they cannot be counted.", Read: func() float64 { return count()[0] }},
		{Name: "mahrem_outbox_dead", Help: "Deliveries that were given up and that somebody must look at; -1 if they cannot be counted.", Read: func() float64 { return count()[1] }},
	}
}
