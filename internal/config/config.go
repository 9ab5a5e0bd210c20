// Package config says where a Mahrem lives and how it is reached. There is little to
// say on purpose: what may be done with data is decided by policies, which are
// versioned and logged, never by a setting.
//
// Three places are read, the later one wins: HOME/mahrem.yaml, the environment
// (MAHREM_…), the command line. An unknown key, and a value that does not make sense,
// is an error that names it.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-playground/validator/v10"
	"go.yaml.in/yaml/v3"
)

// Config is where one Mahrem lives. The zero value is not usable; see [Load].
type Config struct {
	// Home is the directory that everything else is in unless it is said otherwise.
	Home string `yaml:"-" validate:"required"`
	// Keys is the key directory. Empty means HOME/keys. It may be on a volume of its
	// own, and should be: whoever has the database and the keys has the data.
	Keys string `yaml:"keys" validate:"required"`
	// Ledger is the file of the erasure ledger. Empty means HOME/erasures.ledger. It outlives
	// the database, so it must not lie where a restore of the database would put it back.
	Ledger string `yaml:"ledger" validate:"required,ledger"`
	// DatabaseURL is a PostgreSQL connection string. Empty means the embedded
	// PostgreSQL in HOME/postgres.
	DatabaseURL string `yaml:"database_url" validate:"omitempty,uri|contains=="`
	// Policies is where the policy bundle is: a directory, a file, or a URL. Empty means
	// the one in the binary.
	Policies string `yaml:"policies" validate:"omitempty,http_url|dir|file"`
	// PoliciesKey is a file with the public keys of those whose bundles are believed, one
	// a line. A bundle from outside that none of them signed decides nothing.
	PoliciesKey string `yaml:"policies_key" validate:"omitempty,file,excluded_with=DangerAcceptUnsignedPolicies"`
	// DangerAcceptUnsignedPolicies lets whoever can write to Policies decide what is done
	// with everybody's data. It is for a machine on which rules are written.
	DangerAcceptUnsignedPolicies bool `yaml:"danger_accept_unsigned_policies"`
	// DangerOneApprover lets one data protection officer alone approve that somebody is
	// erased. It is for a house that has only one.
	DangerOneApprover bool `yaml:"danger_one_approver"`
	// Listen is the address of the HTTP API. Empty means 127.0.0.1:8443.
	Listen string `yaml:"listen" validate:"required,listen"`
	// PublicURL is the https address by which others know the HTTP API, without a path. It
	// stands in the AuthZEN metadata. Empty means the name by which a caller came.
	PublicURL string `yaml:"public_url" validate:"omitempty,url,startswith=https://,endsnotwith=/,excludes=?,excludes=#"`
	// DangerSubscriberPrivateAddresses lets calls to those who are told of changes of consent
	// go to this machine and to private networks, for a recipient inside the house.
	DangerSubscriberPrivateAddresses bool `yaml:"danger_subscriber_private_addresses"`
	// DangerOpenDSRPrivateAddresses lets messages of OpenDSR go to this machine and to
	// private networks. Addresses come from other parties: with this, whoever may name one
	// can have the server knock at any door inside the house. It is for a processor that is
	// inside, and for trying things out.
	DangerOpenDSRPrivateAddresses bool `yaml:"danger_opendsr_private_addresses"`
	// Origin names the log in its checkpoints (C2SP tlog-checkpoint). It must never
	// change once the log has entries. Empty means mahrem.local/log.
	Origin string `yaml:"origin" validate:"required,printascii,excludes= ,excludes=+"`
	// PublicLog lets everybody read the checkpoint and the hashes of the log under /log/,
	// without a token. Its entries stay with auditors and data protection officers.
	PublicLog bool `yaml:"public_log"`
	// DangerKeepForever keeps serve from running the periodic destruction each day: data
	// that have had their period stay, until somebody runs it by hand.
	DangerKeepForever bool `yaml:"danger_keep_forever"`
	// Patience is how many times longer than usual the house waits before it gives up: for its
	// rules, its database, an answer. Empty means 1. More is for a machine that is small or busy.
	Patience Patience `yaml:"patience" validate:"min=1,max=1000"`
	// Signing says who signs the checkpoints of the log.
	Signing Signing `yaml:",inline"`
	// Delivery says how letters reach people.
	Delivery Delivery `yaml:",inline"`
	// Controller says who answers.
	Controller Controller `yaml:",inline"`
	// Anchoring says where checkpoints of the log go.
	Anchoring Anchoring `yaml:",inline"`
	// IYS says who we are at Turkey's registry of messages.
	IYS IYS `yaml:",inline"`
}

// Patience stretches limits of time.
type Patience int

// With is the limit as it is here.
func (p Patience) With(limit time.Duration) time.Duration { return limit * time.Duration(max(p, 1)) }

// DefaultListen is where the HTTP API listens unless it is told otherwise: only this
// machine, because there is no TLS before a proxy.
const DefaultListen = "127.0.0.1:8443"

// DefaultOrigin is the log's name unless it is told otherwise.
const DefaultOrigin = "mahrem.local/log"

// PostgresDir is where the embedded PostgreSQL keeps its data.
func (c Config) PostgresDir() string { return filepath.Join(c.Home, "postgres") }

// ExportsDir is where exports wait to be fetched, each encrypted for its person.
func (c Config) ExportsDir() string { return filepath.Join(c.Home, "exports") }

// DefaultHome is where a Mahrem lives when nobody said: $MAHREM_HOME, else
// /var/lib/mahrem for root, else mahrem under the user's data directory (XDG Base
// Directory Specification).
func DefaultHome(getenv func(string) string, uid int) string {
	if home := getenv("MAHREM_HOME"); home != "" {
		return home
	}
	if uid == 0 {
		return "/var/lib/mahrem"
	}
	if data := getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "mahrem")
	}
	return filepath.Join(getenv("HOME"), ".local", "share", "mahrem")
}

// Load reads the configuration of the Mahrem in home. override holds what the command
// line said; its empty fields say nothing.
func Load(home string, getenv func(string) string, override Config) (Config, error) {
	absolute, err := filepath.Abs(home)
	if err != nil {
		return Config{}, fmt.Errorf("finding home: %w", err)
	}
	c := Config{Listen: DefaultListen, Origin: DefaultOrigin, Patience: 1, Keys: filepath.Join(absolute, "keys"), Ledger: filepath.Join(absolute, "erasures.ledger")}
	c.Signing.Signer = filepath.Join(absolute, "auditd")
	if err := c.readFile(filepath.Join(absolute, "mahrem.yaml")); err != nil {
		return Config{}, err
	}
	c.Home = absolute
	c.take(Config{
		Keys:        getenv("MAHREM_KEYS"),
		Ledger:      getenv("MAHREM_LEDGER"),
		DatabaseURL: getenv("MAHREM_DATABASE_URL"),
		Policies:    getenv("MAHREM_POLICIES"),
		PoliciesKey: getenv("MAHREM_POLICIES_KEY"),
		Listen:      getenv("MAHREM_LISTEN"),
		PublicURL:   getenv("MAHREM_PUBLIC_URL"),
		Origin:      getenv("MAHREM_ORIGIN"),
		Anchoring:   Anchoring{AnchorFile: getenv("MAHREM_ANCHOR_FILE"), AnchorURL: getenv("MAHREM_ANCHOR_URL")},
	})
	c.Signing.take(Signing{}.fromEnvironment(getenv))
	c.Delivery.take(Delivery{}.fromEnvironment(getenv))
	if err := c.Patience.parse(getenv("MAHREM_PATIENCE")); err != nil {
		return Config{}, err
	}
	c.take(override)
	return c, c.validate()
}

// take overwrites fields with those of other that are not empty.
func (c *Config) take(other Config) {
	for _, field := range []struct{ to, from *string }{
		{&c.Keys, &other.Keys},
		{&c.Ledger, &other.Ledger},
		{&c.DatabaseURL, &other.DatabaseURL},
		{&c.Policies, &other.Policies},
		{&c.PoliciesKey, &other.PoliciesKey},
		{&c.Listen, &other.Listen},
		{&c.PublicURL, &other.PublicURL},
		{&c.Origin, &other.Origin},
		{&c.Anchoring.AnchorFile, &other.Anchoring.AnchorFile},
		{&c.Anchoring.AnchorURL, &other.Anchoring.AnchorURL},
	} {
		if *field.from != "" {
			*field.to = *field.from
		}
	}
	if other.Patience != 0 {
		c.Patience = other.Patience
	}
}

// parse takes what the environment says, if it does.
func (p *Patience) parse(text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("checking settings: %s must be %s", names["Patience"], wants["Patience"])
	}
	*p = Patience(n)
	return nil
}

// readFile reads the settings in path over c. No file is no error: every setting has a
// default.
func (c *Config) readFile(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening settings: %w", err)
	}
	defer func() { _ = file.Close() }()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	if err := decoder.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

// names are the settings as somebody writes them.
var names = map[string]string{
	"Home": "--home", "Keys": "keys (MAHREM_KEYS)", "Ledger": "ledger (MAHREM_LEDGER)", "DatabaseURL": "database_url (MAHREM_DATABASE_URL)",
	"Policies": "policies (MAHREM_POLICIES, --policies)", "PoliciesKey": "policies_key (MAHREM_POLICIES_KEY)",
	"Signer": "signer (MAHREM_SIGNER)", "LogKey": "log_key (MAHREM_LOG_KEY)", "Witnesses": "witnesses (MAHREM_WITNESSES)",
	"WitnessAlarm": "witness_alarm", "WitnessRequired": "witness_required",
	"Webhook": "delivery_webhook (MAHREM_DELIVERY_WEBHOOK)", "WebhookSecret": "delivery_webhook_secret (MAHREM_DELIVERY_WEBHOOK_SECRET)",
	"SMTP": "delivery_smtp (MAHREM_DELIVERY_SMTP)", "SMTPFrom": "delivery_smtp_from (MAHREM_DELIVERY_SMTP_FROM)",
	"SMTPUser": "delivery_smtp_user (MAHREM_DELIVERY_SMTP_USER)", "SMTPPassword": "delivery_smtp_password (MAHREM_DELIVERY_SMTP_PASSWORD)",
	"Name": "controller_name", "Address": "controller_address", "Country": "controller_country", "Contact": "controller_contact",
	"Email": "controller_email", "Phone": "controller_phone", "URL": "controller_url", "Policy": "controller_policy",
	"Withdrawal": "controller_withdrawal", "Storage": "controller_storage",
	"AnchorFile": "anchor_file (MAHREM_ANCHOR_FILE)", "AnchorURL": "anchor_url (MAHREM_ANCHOR_URL)", "AnchorEvery": "anchor_every",
	"IYSCode": "iys_code", "IYSBrand": "iys_brand", "IYSCredentials": "iys_credentials", "IYSAddress": "iys_address", "IYSNotice": "iys_notice", "IYSEvery": "iys_every",
	"Patience": "patience (MAHREM_PATIENCE)",
	"Listen":   "listen (MAHREM_LISTEN, --listen)", "PublicURL": "public_url (MAHREM_PUBLIC_URL)", "Origin": "origin (MAHREM_ORIGIN)",
}

// wants says what a setting must be; the value itself is not repeated, because a
// connection string holds a password.
var wants = map[string]string{
	"Ledger":      "an absolute path outside of HOME/postgres, whose content a restore replaces",
	"DatabaseURL": "a PostgreSQL connection string",
	"Policies":    "a directory that exists, a file that exists, or an http(s) URL",
	"PoliciesKey": "a file that exists, and cannot be beside danger_accept_unsigned_policies",
	"Listen":      "host:port",
	"Patience":    "a whole number from 1 to 1000",

	"LogKey":          "a file that exists, with what mahrem auditd init prints",
	"Witnesses":       "a file that exists, in the form of C2SP tlog-policy",
	"WitnessAlarm":    "a time of a second or more, such as 5m",
	"WitnessRequired": "beside witnesses",

	"Webhook":       "an https address, beside delivery_webhook_secret",
	"WebhookSecret": "a file that exists, beside delivery_webhook",
	"SMTP":          "host:port of a mail server",
	"SMTPFrom":      "a bare e-mail address, beside delivery_smtp",
	"SMTPUser":      "a name, beside delivery_smtp_password",
	"SMTPPassword":  "a file that exists, beside delivery_smtp_user",

	"Name":       "a name, beside the other settings of the controller",
	"Address":    "a postal address in one line, beside controller_name",
	"Country":    "a country such as CZ, beside controller_name",
	"Contact":    "whom to turn to, beside controller_name",
	"Email":      "an e-mail address, beside controller_name",
	"Phone":      "a telephone number, beside controller_name",
	"URL":        "a web address, beside controller_name",
	"Policy":     "the web address of the privacy policy, beside controller_name",
	"Withdrawal": "the web address at which a consent is taken back, beside controller_name",
	"Storage":    "the countries in which data are stored, such as CZ DE, beside controller_name",

	"AnchorFile":  "an absolute path",
	"AnchorURL":   "an https address",
	"AnchorEvery": "a minute or more, such as 1h",

	"IYSCode":        "a number, beside iys_brand and iys_credentials",
	"IYSBrand":       "a number, beside iys_code",
	"IYSCredentials": "a file that exists, with the user on the first line and the password on the second",
	"IYSAddress":     "an https address",
	"IYSNotice":      "the version of a notice",
	"IYSEvery":       "a minute or more, such as 15m",

	"PublicURL": "an address such as https://mahrem.example.com, without a slash at the end",
	"Origin":    "a name without spaces and plus signs, such as example.com/mahrem",
}

func (c Config) validate() error {
	v := validator.New(validator.WithRequiredStructEnabled())
	if err := v.RegisterValidation("listen", isListen); err != nil {
		return err
	}
	if err := v.RegisterValidation("ledger", isLedger); err != nil {
		return err
	}
	if err := v.RegisterValidation("countries", areCountries); err != nil {
		return err
	}
	err := v.Struct(c)
	var fields validator.ValidationErrors
	if !errors.As(err, &fields) {
		return err
	}
	var texts []string
	for _, field := range fields {
		texts = append(texts, fmt.Sprintf("%s must be %s", names[field.Field()], wants[field.Field()]))
	}
	return errors.New("checking settings: " + strings.Join(texts, "; "))
}

// isListen admits host:port with any port, also 0, which takes a free one.
func isListen(field validator.FieldLevel) bool {
	_, port, err := net.SplitHostPort(field.Field().String())
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// isLedger admits an absolute path outside of the embedded PostgreSQL's directory. One that
// depends on where a command is run would find no ledger and begin another.
func isLedger(field validator.FieldLevel) bool {
	path := field.Field().String()
	c, ok := field.Top().Interface().(Config)
	if !ok || !filepath.IsAbs(path) {
		return false
	}
	inside, err := filepath.Rel(resolve(c.PostgresDir()), resolve(path))
	return err == nil && (inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator)))
}

// resolve follows symbolic links as far as the path exists.
func resolve(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolve(parent), filepath.Base(path))
}
