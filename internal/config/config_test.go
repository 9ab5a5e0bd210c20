package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestLoad(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := "listen: 0.0.0.0:9000\npublic_url: https://m.example.com\norigin: example.com/log\npatience: 7\nkeys: /secure/keys\n"
	if err := os.WriteFile(filepath.Join(home, "mahrem.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(home, env(map[string]string{"MAHREM_ORIGIN": "example.org/log"}), Config{Listen: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Home: home, Keys: "/secure/keys", Ledger: filepath.Join(home, "erasures.ledger"), Listen: "127.0.0.1:1", PublicURL: "https://m.example.com", Origin: "example.org/log", Patience: 7,
		Signing: Signing{Signer: filepath.Join(home, "auditd")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		file, env, value, want string
	}{
		"unknown key":      {file: "listen: x\n", want: "listen"},
		"bad address":      {env: "MAHREM_LISTEN", value: "nowhere", want: "listen"},
		"missing policies": {env: "MAHREM_POLICIES", value: "/does/not/exist", want: "--policies"},
		"plain address":    {env: "MAHREM_PUBLIC_URL", value: "http://mahrem.example.com", want: "public_url"},
		"slash at the end": {env: "MAHREM_PUBLIC_URL", value: "https://mahrem.example.com/", want: "public_url"},
		"query":            {env: "MAHREM_PUBLIC_URL", value: "https://mahrem.example.com?a", want: "public_url"},
		"missing key":      {env: "MAHREM_POLICIES_KEY", value: "/does/not/exist", want: "policies_key"},
		"odd URL":          {env: "MAHREM_POLICIES", value: "ftp://example.com/policies", want: "--policies"},
		"key and danger":   {file: "danger_accept_unsigned_policies: true\n", env: "MAHREM_POLICIES_KEY", value: "config_test.go", want: "cannot be beside"},
		"bad origin":       {env: "MAHREM_ORIGIN", value: "two words", want: "origin"},
		"relative ledger":  {env: "MAHREM_LEDGER", value: "erasures.ledger", want: "ledger"},
		"no patience":      {file: "patience: 0\n", want: "patience"},
		"odd patience":     {env: "MAHREM_PATIENCE", value: "much", want: "patience"},
		"great patience":   {env: "MAHREM_PATIENCE", value: "1001", want: "patience"},
		"no log key":       {env: "MAHREM_LOG_KEY", value: "/does/not/exist", want: "log_key"},
		"no witnesses":     {env: "MAHREM_WITNESSES", value: "/does/not/exist", want: "witnesses"},
		"required nobody":  {file: "witness_required: true\n", want: "witness_required"},
		"alarm at once":    {file: "witness_alarm: 1ms\n", want: "witness_alarm"},
		"webhook alone":    {env: "MAHREM_DELIVERY_WEBHOOK", value: "https://m.example.com/w", want: "delivery_webhook_secret"},
		"secret alone":     {env: "MAHREM_DELIVERY_WEBHOOK_SECRET", value: "config_test.go", want: "delivery_webhook"},
		"no such secret":   {env: "MAHREM_DELIVERY_WEBHOOK_SECRET", value: "/does/not/exist", want: "delivery_webhook_secret"},
		"mail server":      {file: "delivery_smtp_from: a@shop.example\n", env: "MAHREM_DELIVERY_SMTP", value: "mail.example", want: "delivery_smtp "},
		"mail from nobody": {env: "MAHREM_DELIVERY_SMTP", value: "mail.example:587", want: "delivery_smtp_from"},
		"user alone":       {env: "MAHREM_DELIVERY_SMTP_USER", value: "u", want: "delivery_smtp_password"},
		"secret in URL":    {env: "MAHREM_DATABASE_URL", value: "hunter2", want: "connection string"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			if tt.file != "" {
				if err := os.WriteFile(filepath.Join(home, "mahrem.yaml"), []byte(tt.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Load(home, env(map[string]string{tt.env: tt.value}), Config{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Load: %v, want an error that names %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Load repeats a connection string: %v", err)
			}
		})
	}
}

func TestLedgerIsOutsideOfTheDatabase(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "postgres"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(home, "postgres"), filepath.Join(home, "link")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"postgres": false, "postgres/ledger": false, "postgres/a/../ledger": false, "link/new/ledger": false,
		"ledger": true, "postgres-ledger": true, "postgres/../ledger": true, "..ledger": true, "../ledger": true,
	} {
		c, err := Load(home, env(map[string]string{"MAHREM_LEDGER": home + "/" + path}), Config{})
		if (err == nil) != want || want && c.Ledger != home+"/"+path {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestPatience(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]time.Duration{"": time.Second, "1": time.Second, "30": 30 * time.Second} {
		c, err := Load(t.TempDir(), env(map[string]string{"MAHREM_PATIENCE": said}), Config{})
		if err != nil || c.Patience.With(time.Second) != want {
			t.Errorf("%q: %v, %v", said, c.Patience.With(time.Second), err)
		}
	}
	if got := Patience(0).With(time.Second); got != time.Second {
		t.Errorf("nothing said: %v", got)
	}
}

func TestPlacesOfPolicies(t *testing.T) {
	t.Parallel()
	for _, place := range []string{t.TempDir(), "config_test.go", "https://policies.example.com/bundle.tar.gz", "http://127.0.0.1:8080/b"} {
		c, err := Load(t.TempDir(), env(map[string]string{"MAHREM_POLICIES": place, "MAHREM_POLICIES_KEY": "config_test.go"}), Config{})
		if err != nil || c.Policies != place || c.PoliciesKey != "config_test.go" {
			t.Errorf("%s: %+v, %v", place, c, err)
		}
	}
}

func TestDefaultHome(t *testing.T) {
	t.Parallel()
	tests := []struct {
		env  map[string]string
		uid  int
		want string
	}{
		{map[string]string{"MAHREM_HOME": "/srv/m"}, 0, "/srv/m"},
		{nil, 0, "/var/lib/mahrem"},
		{map[string]string{"XDG_DATA_HOME": "/d", "HOME": "/home/x"}, 7, "/d/mahrem"},
		{map[string]string{"XDG_DATA_HOME": "relative", "HOME": "/home/x"}, 7, "/home/x/.local/share/mahrem"},
	}
	for _, tt := range tests {
		if got := DefaultHome(env(tt.env), tt.uid); got != tt.want {
			t.Errorf("DefaultHome(%v, %d) = %q, want %q", tt.env, tt.uid, got, tt.want)
		}
	}
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := "delivery_webhook: https://m.example.com/w\ndelivery_webhook_secret: config_test.go\ndelivery_smtp: mail.example:587\ndelivery_smtp_from: privacy@shop.example\ndanger_smtp_without_tls: true\n"
	if err := os.WriteFile(filepath.Join(home, "mahrem.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(home, env(map[string]string{"MAHREM_DELIVERY_SMTP": "127.0.0.1:25", "MAHREM_DELIVERY_SMTP_USER": "u", "MAHREM_DELIVERY_SMTP_PASSWORD": "config_test.go"}), Config{})
	want := Delivery{
		Webhook: "https://m.example.com/w", WebhookSecret: "config_test.go", SMTP: "127.0.0.1:25", SMTPFrom: "privacy@shop.example",
		SMTPUser: "u", SMTPPassword: "config_test.go", DangerSMTPWithoutTLS: true,
	}
	if err != nil || c.Delivery != want {
		t.Errorf("Load: %+v, %v", c.Delivery, err)
	}
}
