// Command mahrem is the door between a company's customer data and everyone who wants
// to use it. See mahrem help.
package main

import (
	"context"
	"os"

	"github.com/mahrem/mahrem/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
