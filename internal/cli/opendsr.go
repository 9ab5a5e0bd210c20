package cli

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) openDSRCommand() *cobra.Command {
	return group("opendsr", "Take requests of controllers as their processor, and check others",
		a.openDSRKeygen(),
		a.openDSRCertificate(),
		group("controller", "Controllers whose requests are taken", a.controllerAdd(), a.controllerList(), a.controllerRetire()),
		a.openDSRAccept(),
		a.openDSRConformance(),
	)
}

func (a *app) openDSRKeygen() *cobra.Command {
	var domain, out string
	cmd := &cobra.Command{
		Use: "keygen --domain DOMAIN --output FILE", Short: "Make the key that signs what is said as a processor", Args: cobra.NoArgs,
		Long: `Make the key with which everything is signed that is said as a processor, in the key
directory, and write a request for a certificate into FILE. An authority that
controllers believe turns that into a certificate, which mahrem opendsr certificate
takes. No key is overwritten. Take a domain that is used for nothing else, such as
opendsr.example.com: its certificate must name it exactly.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "domain", "output"); err != nil {
				return err
			}
			key, request, err := opendsr.GenerateKey(domain)
			if err != nil {
				return err
			}
			house, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer a.close(house)
			if err := house.Keys.SetOpenDSRKey(key); err != nil {
				return err
			}
			if err := writeNew(out, string(request), 0o644); err != nil {
				return err
			}
			if _, err := house.Log.Append(cmd.Context(), audit.Event{Kind: audit.KeyCreated, Outcome: audit.Done, Principal: operator(), List: sha256.Sum256(request)}); err != nil {
				return fmt.Errorf("logging key: %w", err)
			}
			document := map[string]string{"domain": domain, "certificate_request_file": out}
			return a.screen.print(document, func(w io.Writer) {
				t := table{}
				t.add("domain", domain)
				t.add("request for a certificate", out)
				t.writeTo(w, "")
			})
		},
	}
	cmd.Flags().StringVar(&domain, "domain", "", "the domain in whose name this house signs (required)")
	cmd.Flags().StringVarP(&out, "output", "o", "", "file for the request (required)")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) openDSRCertificate() *cobra.Command {
	var keyFile string
	cmd := &cobra.Command{
		Use: "certificate FILE", Short: "Take the certificate that an authority gave", Args: cobra.ExactArgs(1),
		Long: `Take the certificate that an authority gave, and those between it and its root, in
PEM. It must belong to the key, and its first name is the domain that signs. With
--key-file the key comes from elsewhere (PKCS #8); none is overwritten. A server takes
it up when it starts.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			chain, err := a.readSmall(args[0], maxCertificateFile)
			if err != nil {
				return err
			}
			certificates, err := opendsr.ParseChain(chain)
			if err != nil {
				return err
			}
			if len(certificates[0].DNSNames) == 0 {
				return usagef("the certificate names no domain")
			}
			house, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer a.close(house)
			key, err := a.openDSRKey(house, keyFile)
			if err != nil {
				return err
			}
			signer, err := opendsr.NewSigner(certificates[0].DNSNames[0], key, chain)
			if err != nil {
				return err
			}
			if keyFile != "" {
				if err := house.Keys.SetOpenDSRKey(key); err != nil {
					return err
				}
			}
			if err := house.Keys.SetOpenDSRCertificate(chain); err != nil {
				return err
			}
			if _, err := house.Log.Append(cmd.Context(), audit.Event{Kind: audit.KeyCreated, Outcome: audit.Done, Principal: operator(), List: sha256.Sum256(chain)}); err != nil {
				return fmt.Errorf("logging certificate: %w", err)
			}
			until := certificates[0].NotAfter.UTC()
			document := map[string]any{"domain": signer.Domain(), "valid_until": until}
			return a.screen.print(document, func(w io.Writer) {
				t := table{}
				t.add("signs as", signer.Domain())
				t.add("until", until.Format(time.DateOnly))
				t.writeTo(w, "")
			})
		},
	}
	cmd.Flags().StringVar(&keyFile, "key-file", "", "private key from elsewhere, PKCS #8 in PEM")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) openDSRKey(house *assembly.House, file string) ([]byte, error) {
	if file != "" {
		return a.readSmall(file, maxCertificateFile)
	}
	key, err := house.Keys.OpenDSRKey()
	if errors.Is(err, privacy.ErrNotFound) {
		return nil, fmt.Errorf("there is no key yet; mahrem opendsr keygen makes one: %w", privacy.ErrNotFound)
	}
	return key, err
}

func (a *app) openDSRAccept() *cobra.Command {
	cmd := &cobra.Command{
		Use: "accept REQUEST", Short: "Begin with a request of a controller, who has made sure of the person",
		Long: `Begin with a request that a controller handed over. Identity is the controller's to
verify, and by handing the request over it says that it has. From then on it cannot be
taken back, and the controller is told that it is in progress.`,
	}
	return a.stepCommand(cmd, acceptController)
}

// controllerDocument is one controller as it is printed.
type controllerDocument struct {
	Controller   string      `json:"controller"`
	Recipient    string      `json:"recipient"`
	Callbacks    []string    `json:"callbacks"`
	Jurisdiction string      `json:"jurisdiction"`
	Language     string      `json:"language"`
	RetiredAt    *time.Time  `json:"retired_at,omitempty"`
	Log          *logPointer `json:"log,omitempty"`
}

func newControllerDocument(c *opendsr.Controller) controllerDocument {
	return controllerDocument{
		Controller: c.ID, Recipient: string(c.Recipient), Callbacks: append([]string{}, c.Callbacks...), Jurisdiction: string(c.Jurisdiction),
		Language: c.Language, RetiredAt: optional(c.RetiredAt),
	}
}

func (a *app) controllerAdd() *cobra.Command {
	var recipient, roots, jurisdiction, language string
	var callbacks []string
	cmd := &cobra.Command{
		Use: "add NAME --recipient RECIPIENT", Short: "Register a controller whose requests are taken", Args: cobra.ExactArgs(1),
		Long: `Register a controller whose processor this house is. Bearer tokens of the recipient
speak for it. A status is only ever sent to an address of --callback, each written in
full: a request that names another one is refused, so that nobody can have this server
knock where they like.`,
		Example: `  mahrem opendsr controller add brand --recipient web_shop --callback https://brand.example/opendsr/callbacks
  mahrem token mint --role service --recipient web_shop --ttl 720h`,
	}
	acting := a.actingAs(cmd)
	flags := cmd.Flags()
	flags.StringVar(&recipient, "recipient", "", "whose tokens speak for it (required)")
	flags.StringArrayVar(&callbacks, "callback", nil, "https address to which statuses may be sent; again for more")
	flags.StringVar(&roots, "ca-file", "", "certificates of the authorities that are believed for connections to it")
	flags.StringVar(&jurisdiction, "jurisdiction", "EU", "where its people are, unless a request says ccpa")
	flags.StringVar(&language, "language", "en", "en, tr or cs")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needs(cmd, "recipient"); err != nil {
			return err
		}
		c := opendsr.Controller{
			ID: args[0], Recipient: privacy.RecipientID(recipient), Callbacks: callbacks, Jurisdiction: privacy.Jurisdiction(jurisdiction), Language: language,
		}
		if roots != "" {
			text, err := a.readSmall(roots, maxCertificateFile)
			if err != nil {
				return usagef("--ca-file: %w", err)
			}
			if _, err := opendsr.ParseRoots(text); err != nil {
				return err
			}
			c.Roots = string(text)
		}
		if err := c.Check(); err != nil {
			return err
		}
		if _, err := clock.RegimeOf(c.Jurisdiction); err != nil {
			return usagef("--jurisdiction is not one whose law is known; see mahrem dsar deadline --help")
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		if err := house.CheckRecipient(c.Recipient); err != nil {
			return err
		}
		c.AddedBy = house.Keys.ActorTag(by)
		receipt, err := house.OpenDSR.Controllers.AddController(cmd.Context(), c, audit.Event{
			Kind: audit.ProcessorAdded, Outcome: audit.Done, Principal: by, Recipient: c.Recipient, List: sha256.Sum256([]byte(c.ID)),
		})
		if errors.Is(err, privacy.ErrConflict) {
			return fmt.Errorf("there is a controller of this name or recipient: %w", privacy.ErrConflict)
		}
		if err != nil {
			return err
		}
		document := newControllerDocument(&c)
		document.Log = pointTo(receipt)
		return a.screen.print(document, func(w io.Writer) { document.writeTo(w) })
	}
	a.jsonFlag(cmd)
	return cmd
}

func (d *controllerDocument) writeTo(w io.Writer) {
	t := table{}
	t.add("controller", d.Controller)
	t.add("recipient", d.Recipient)
	for _, callback := range d.Callbacks {
		t.add("may be told at", callback)
	}
	t.add("law of", d.Jurisdiction)
	if d.Log != nil {
		t.add("log entry", fmt.Sprint(d.Log.Index))
	}
	t.writeTo(w, "")
}
