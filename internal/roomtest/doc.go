// Package roomtest is a clean room in memory, for tests and for the attacks of roomattack:
// its data, budgets, answers and log are Go values, and everything that decides (contracts,
// queries, prices, noise, what is told) is the real thing.
package roomtest
