// Package cli is the mahrem command: one file a group of commands.
//
// Results go to stdout and everything else to stderr, so that a pipe never carries a
// notice. Every command that prints takes --json and then prints one document.
// Messages begin with "mahrem: ", are in lower case, and say what to do next. What
// cannot be undone prints a plan first and a token; only the same command repeated
// with that token acts.
//
// The commands hold no logic of their own: they open an [assembly.House], call one of
// its rooms, and print.
package cli
