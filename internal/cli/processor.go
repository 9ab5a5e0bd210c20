package cli

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) processorCommand() *cobra.Command {
	return group("processor", "Those whom requests are passed on to",
		a.processorAdd(),
		a.processorList(),
		a.processorRetire(),
		a.processorTell(),
		a.processorStatus(),
		a.processorLeaveOpen(),
	)
}

// maxCertificateFile bounds a file of certificates, and maxBearerFile one with a token.
const (
	maxCertificateFile = 1 << 16
	maxBearerFile      = 8 << 10
)

func (a *app) processorAdd() *cobra.Command {
	var recipient, domain, url, version, roots, bearer, email string
	cmd := &cobra.Command{
		Use: "add NAME --recipient RECIPIENT --url URL", Short: "Register somebody who is told of erasures by OpenDSR", Args: cobra.ExactArgs(1),
		Long: `Register a processor. It is asked what it supports, and its certificate is fetched
and checked: it must name the domain exactly, be in force, and come from an authority
that is believed. From then on each erasure is told to it in the transaction of the
erasure, and only what it signs counts as its answer.

People are named to it by the pseudonyms of the recipient, which is what it knows them
by. With --email it is also told an address, if the person named it and it is their own.`,
		Example: `  mahrem processor add mailer --recipient newsletter_service --url https://opendsr.mailer.example --version 2.0 --bearer-file mailer.token`,
	}
	acting := a.actingAs(cmd)
	flags := cmd.Flags()
	flags.StringVar(&recipient, "recipient", "", "which recipient of the catalogue it is (required)")
	flags.StringVar(&url, "url", "", "https address below which it has /v1, /v2 or /v3 (required)")
	flags.StringVar(&domain, "domain", "", "domain in whose name it signs (default: the host of --url)")
	flags.StringVar(&version, "version", "2.0", "version of the protocol: 1.0, 2.0 or 3.0")
	flags.StringVar(&roots, "ca-file", "", "certificates of the authorities that are believed for it (default: those of this machine)")
	flags.StringVar(&bearer, "bearer-file", "", "file with the token that it wants; it is kept sealed; - reads it from stdin")
	flags.StringVar(&email, "email", "", "in which form it knows addresses: raw or sha256 (default: not at all)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needs(cmd, "recipient", "url"); err != nil {
			return err
		}
		p := opendsr.Processor{
			ID: args[0], Recipient: privacy.RecipientID(recipient), Base: strings.TrimSuffix(url, "/"), Domain: strings.ToLower(domain),
			Version: opendsr.Version(version), EmailFormat: opendsr.Format(email),
		}
		if p.Domain == "" {
			p.Domain = hostOf(url)
		}
		token := ""
		if bearer != "" {
			text, err := a.readSmall(bearer, maxBearerFile)
			if err != nil {
				return usagef("--bearer-file: %w", err)
			}
			token = strings.TrimSpace(string(text))
		}
		if roots != "" {
			text, err := a.readSmall(roots, maxCertificateFile)
			if err != nil {
				return usagef("--ca-file: %w", err)
			}
			p.Roots = string(text)
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		if err := house.CheckRecipient(p.Recipient); err != nil {
			return err
		}
		p, discovery, err := house.OpenDSR.Courier.Register(cmd.Context(), p, token, time.Now())
		if err != nil {
			return err
		}
		if token != "" {
			if p.SealedToken, err = house.Keys.Vault().SealHouse(opendsr.TokenLabel(p.ID), []byte(token)); err != nil {
				return err
			}
		}
		p.AddedBy = house.Keys.ActorTag(by)
		receipt, err := house.OpenDSR.Processors.Add(cmd.Context(), p, audit.Event{
			Kind: audit.ProcessorAdded, Outcome: audit.Done, Principal: by, Recipient: p.Recipient, List: sha256.Sum256([]byte(p.Certificate)),
		})
		if errors.Is(err, privacy.ErrConflict) {
			return fmt.Errorf("there is a processor of this name or domain: %w", privacy.ErrConflict)
		}
		if err != nil {
			return err
		}
		if !discovery.Supports(opendsr.ControllerCustomerID, opendsr.Raw) && p.EmailFormat == "" {
			a.screen.notef("%s does not say that it takes controller_customer_id, and with no --email it is told nothing else", p.ID)
		}
		document := newProcessorDocument(&p)
		document.Log = pointTo(receipt)
		return a.screen.print(document, func(w io.Writer) { document.writeTo(w) })
	}
	a.jsonFlag(cmd)
	return cmd
}

// processorDocument is one processor as it is printed.
type processorDocument struct {
	Processor     string      `json:"processor"`
	Recipient     string      `json:"recipient"`
	Domain        string      `json:"domain"`
	URL           string      `json:"url"`
	Version       string      `json:"api_version"`
	Email         string      `json:"email_format,omitempty"`
	Token         bool        `json:"has_token"`
	CertificateTo *time.Time  `json:"certificate_until,omitempty"`
	AddedAt       *time.Time  `json:"added_at,omitempty"`
	RetiredAt     *time.Time  `json:"retired_at,omitempty"`
	Log           *logPointer `json:"log,omitempty"`
}

func newProcessorDocument(p *opendsr.Processor) processorDocument {
	d := processorDocument{
		Processor: p.ID, Recipient: string(p.Recipient), Domain: p.Domain, URL: p.Base, Version: string(p.Version), Email: string(p.EmailFormat),
		Token: p.SealedToken != nil, AddedAt: optional(p.AddedAt), RetiredAt: optional(p.RetiredAt),
	}
	if chain, err := opendsr.ParseChain([]byte(p.Certificate)); err == nil {
		d.CertificateTo = optional(chain[0].NotAfter.UTC())
	}
	return d
}

func (d *processorDocument) writeTo(w io.Writer) {
	t := table{}
	t.add("processor", d.Processor)
	t.add("recipient", d.Recipient)
	t.add("signs as", d.Domain)
	t.add("address", d.URL+", OpenDSR "+d.Version)
	if d.CertificateTo != nil {
		t.add("certificate", "until "+d.CertificateTo.Format(time.DateOnly))
	}
	if d.Log != nil {
		t.add("log entry", fmt.Sprint(d.Log.Index))
	}
	t.writeTo(w, "")
}

func (a *app) processorList() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "List those who are told of erasures", Args: cobra.NoArgs,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			processors, err := house.OpenDSR.Processors.Processors(cmd.Context(), all)
			if err != nil {
				return err
			}
			documents := []processorDocument{}
			for i := range processors {
				documents = append(documents, newProcessorDocument(&processors[i]))
			}
			t := table{header: []string{"processor", "recipient", "signs as", "version", "certificate until", "retired"}}
			for _, d := range documents {
				t.add(d.Processor, d.Recipient, d.Domain, d.Version, dayOf(d.CertificateTo), dayOf(d.RetiredAt))
			}
			return a.screen.printList(map[string]any{"processors": documents}, &t, "no processors; mahrem processor add registers one")
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "those who are retired too")
	a.jsonFlag(cmd)
	return cmd
}

func dayOf(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.DateOnly)
}

// hostOf is the host of an https address.
func hostOf(address string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(strings.ToLower(address), "https://"), "/")
	host, _, _ = strings.Cut(host, ":")
	return host
}

func (a *app) processorRetire() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retire NAME", Short: "Pass no more requests on to a processor", Args: cobra.ExactArgs(1),
		Long: `Pass no more requests on to a processor. What it still has to answer it may answer.
Messages that wait for it are given up, and show as undeliverable.`,
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		p, err := house.OpenDSR.Processors.Find(cmd.Context(), args[0])
		var receipt audit.Receipt
		if err == nil {
			receipt, err = house.OpenDSR.Processors.Retire(cmd.Context(), p.ID, retired(by, p.Recipient, p.ID))
		}
		if errors.Is(err, privacy.ErrNotFound) {
			return fmt.Errorf("there is no processor of this name, or it is retired already: %w", privacy.ErrNotFound)
		}
		if err != nil {
			return err
		}
		document := newProcessorDocument(&p)
		document.Log = pointTo(receipt)
		return a.screen.print(document, func(w io.Writer) { document.writeTo(w) })
	}
	a.jsonFlag(cmd)
	return cmd
}

// retired is the event that says that a party is one no more.
func retired(by privacy.Principal, recipient privacy.RecipientID, id string) audit.Event {
	return audit.Event{
		Kind: audit.ProcessorAdded, Outcome: audit.Denied, Principal: by, Recipient: recipient,
		Checks: []string{"processor.active"}, List: sha256.Sum256([]byte(id)),
	}
}
