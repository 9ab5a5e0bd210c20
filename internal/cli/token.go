package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) tokenCommand() *cobra.Command {
	return group("token", "Make bearer tokens for the HTTP API", a.tokenMint())
}

func (a *app) tokenMint() *cobra.Command {
	var role, recipient, name string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "mint --role ROLE", Short: "Mint a bearer token and print it once", Args: cobra.NoArgs,
		Long: `Mint a bearer token. The token is printed once and kept nowhere; that it was minted,
for which role and recipient, is in the log.`,
		Example: `  mahrem token mint --role service --recipient shop_recommendations --ttl 24h
  curl -H "Authorization: Bearer $(mahrem token mint --role auditor --ttl 1h)" …`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			parsed, err := privacy.ParseRole(role)
			if err != nil {
				return usagef("--role must be service, dpo, auditor or ingest")
			}
			if (parsed == privacy.RoleService) != (recipient != "") {
				return usagef("--recipient says whom a service speaks for: a service needs one, no other role may have one")
			}
			if name == "" {
				name = role
				if recipient != "" {
					name = recipient
				}
			}
			house, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer a.close(house)
			if err := house.CheckRecipient(privacy.RecipientID(recipient)); err != nil {
				return err
			}
			principal := privacy.Principal{ID: name, Role: parsed, Recipient: privacy.RecipientID(recipient)}
			minted, err := house.Tokens.Mint(principal, ttl)
			if err != nil {
				return err
			}
			// The token leaves only after the log says that it exists.
			if _, err := house.Log.Append(cmd.Context(), audit.Event{
				Kind: audit.TokenMinted, Principal: operator(), Outcome: audit.Done, Recipient: principal.Recipient, Minted: principal.Role,
			}); err != nil {
				return fmt.Errorf("logging token: %w", err)
			}
			document := struct {
				Token     string    `json:"token"`
				ID        string    `json:"token_id"`
				Role      string    `json:"role"`
				Recipient string    `json:"recipient,omitempty"`
				ExpiresAt time.Time `json:"expires_at"`
			}{minted.Token, minted.ID, role, recipient, minted.ExpiresAt.UTC()}
			return a.screen.print(document, func(w io.Writer) { _, _ = fmt.Fprintln(w, minted.Token) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&role, "role", "", "service, dpo, auditor or ingest")
	flags.StringVar(&recipient, "recipient", "", "the recipient a service speaks for, as in the catalogue")
	flags.StringVar(&name, "name", "", "name of the caller in the operator's own records (default: the recipient or role)")
	flags.DurationVar(&ttl, "ttl", time.Hour, "how long the token lives")
	a.jsonFlag(cmd)
	return cmd
}
