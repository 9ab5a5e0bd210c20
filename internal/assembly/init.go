package assembly

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault/keydir"
)

// Init makes a new Mahrem: tables, keys, and the first entries of the log. It refuses,
// with an error that wraps [privacy.ErrConflict], when there is a key directory
// already. The keys are made last, so that an Init that fails for want of a database can
// simply be repeated.
func Init(ctx context.Context, settings config.Config, options Options, by privacy.Principal) (*House, error) {
	if entries, err := os.ReadDir(settings.Keys); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s has keys already and is left as it is: %w", settings.Keys, privacy.ErrConflict)
	}
	if err := os.MkdirAll(settings.Home, 0o755); err != nil {
		return nil, fmt.Errorf("making home: %w", err)
	}
	database := options.Database
	if database == nil {
		var err error
		if database, err = OpenDatabase(ctx, settings); err != nil {
			return nil, err
		}
	}
	house, err := initIn(ctx, settings, options, database, by)
	if err != nil {
		if options.Database == nil {
			err = errors.Join(err, database.Close())
		}
		return nil, err
	}
	if options.Database == nil {
		house.closers = append([]func(context.Context) error{func(context.Context) error { return database.Close() }}, house.closers...)
	}
	return house, nil
}

func initIn(ctx context.Context, settings config.Config, options Options, database *Database, by privacy.Principal) (*House, error) {
	if _, err := database.MigrateUp(ctx); err != nil {
		return nil, err
	}
	if err := keydir.Create(settings.Keys, keydir.Config{}); err != nil {
		return nil, err
	}
	options.Database = database
	house, err := Open(ctx, settings, options)
	if err != nil {
		return nil, err
	}
	for _, event := range []audit.Event{
		{Kind: audit.LogStarted, Principal: by, Outcome: audit.Done},
		{Kind: audit.KeyCreated, Principal: by, Outcome: audit.Done},
		{Kind: audit.PolicyActivated, Principal: by, Outcome: audit.Done, Policy: house.PolicyDigest()},
	} {
		if _, err := house.Log.Append(ctx, event); err != nil {
			return nil, errors.Join(err, house.Close(context.WithoutCancel(ctx)))
		}
	}
	return house, nil
}
