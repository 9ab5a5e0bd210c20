package config

import "cmp"

// Delivery says how letters reach people: codes by which they prove who they are, and
// answers. Without it, codes cannot be sent. Secrets are only ever named by their files.
type Delivery struct {
	// Webhook is the https address of a program that sends letters on; docs/spec/webhook.md
	// is what it gets. Http is for this machine alone.
	Webhook string `yaml:"delivery_webhook" validate:"required_with=WebhookSecret,omitempty,url"`
	// WebhookSecret is a file with what both sides share.
	WebhookSecret string `yaml:"delivery_webhook_secret" validate:"required_with=Webhook,omitempty,file"`
	// SMTP is the mail server, host:port.
	SMTP string `yaml:"delivery_smtp" validate:"omitempty,hostname_port"`
	// SMTPFrom is the bare address that letters come from.
	SMTPFrom string `yaml:"delivery_smtp_from" validate:"required_with=SMTP,omitempty,email"`
	// SMTPUser logs in at the mail server with the password in the file SMTPPassword.
	SMTPUser     string `yaml:"delivery_smtp_user" validate:"required_with=SMTPPassword"`
	SMTPPassword string `yaml:"delivery_smtp_password" validate:"required_with=SMTPUser,omitempty,file"`
	// DangerSMTPWithoutTLS sends addresses and codes over the network in clear, to a mail
	// server that has no TLS.
	DangerSMTPWithoutTLS bool `yaml:"danger_smtp_without_tls"`
}

// fromEnvironment returns what the environment says.
func (Delivery) fromEnvironment(getenv func(string) string) Delivery {
	return Delivery{
		Webhook: getenv("MAHREM_DELIVERY_WEBHOOK"), WebhookSecret: getenv("MAHREM_DELIVERY_WEBHOOK_SECRET"),
		SMTP: getenv("MAHREM_DELIVERY_SMTP"), SMTPFrom: getenv("MAHREM_DELIVERY_SMTP_FROM"),
		SMTPUser: getenv("MAHREM_DELIVERY_SMTP_USER"), SMTPPassword: getenv("MAHREM_DELIVERY_SMTP_PASSWORD"),
	}
}

// take overwrites fields with those of other that are not empty.
func (d *Delivery) take(other Delivery) {
	for _, field := range []struct{ to, from *string }{
		{&d.Webhook, &other.Webhook},
		{&d.WebhookSecret, &other.WebhookSecret},
		{&d.SMTP, &other.SMTP},
		{&d.SMTPFrom, &other.SMTPFrom},
		{&d.SMTPUser, &other.SMTPUser},
		{&d.SMTPPassword, &other.SMTPPassword},
	} {
		*field.to = cmp.Or(*field.from, *field.to)
	}
}
