package localpg_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/internal/localpg"
)

func ExampleStart() {
	ctx := context.Background()
	server, err := localpg.Start(ctx, localpg.Config{}) // no Dir: a temporary one
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	conn, err := pgx.Connect(ctx, server.AppURL())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	var role, tcp string
	err = conn.QueryRow(ctx, `select current_user, current_setting('listen_addresses')`).Scan(&role, &tcp)
	fmt.Printf("%s, TCP %q, %v\n", role, tcp, err)
	// Output: mahrem_app, TCP "", <nil>
}
