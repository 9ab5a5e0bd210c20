package cli

import "github.com/spf13/cobra"

// commands are all groups, in the order in which somebody meets them.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.demoCommand(),
		a.initCommand(),
		a.serveCommand(),
		a.auditdCommand(),
		a.intakeCommand(),
		a.queryCommand(),
		a.audienceCommand(),
		a.subjectCommand(),
		a.consentCommand(),
		a.noticeCommand(),
		a.signalCommand(),
		a.iysCommand(),
		a.caseCommand(),
		a.objectionCommand(),
		a.complaintCommand(),
		a.dsarCommand(),
		a.holdCommand(),
		a.retentionCommand(),
		a.processorCommand(),
		a.personaCommand(),
		a.subscriberCommand(),
		a.outboxCommand(),
		a.openDSRCommand(),
		a.roomCommand(),
		a.decisionCommand(),
		a.certificateCommand(),
		a.erasureCommand(),
		a.auditCommand(),
		a.tokenCommand(),
		a.migrateCommand(),
		a.policyCommand(),
		a.catalogueCommand(),
		a.benchCommand(),
		a.doctorCommand(),
		a.versionCommand(),
		exitCodesTopic(),
	}
}
