
=head1 NAME

KafkaCluster - a PostgreSQL cluster with kafka_fdw, for TAP tests

=head1 SYNOPSIS

    use KafkaCluster;

    my $node = KafkaCluster::start($broker);             # extension, server "broker"
    my ($seconds, $stderr) = KafkaCluster::fails($node, 'SELECT ...');
    my $session = KafkaCluster::session($node);          # one backend, kept
    my ($out, $err) = $session->run('SELECT ...');
    my $threads = KafkaCluster::threads($session->pid);
    cmp_ok($seconds, '<', KafkaCluster::SOON, 'at once');

=cut

package KafkaCluster;

use strict;
use warnings FATAL => 'all';

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# The seconds that something may take that is to be done at once, on a machine
# that has much else to do: what does not work takes the client's timeout, half
# a minute or more.
use constant SOON => 20;

# Starts a cluster that preloads kafka_fdw, with the extension and, when a
# broker is given, a foreign server "broker" for it.  Further arguments are
# lines of postgresql.conf.
sub start
{
	my ($broker, @settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new('main');

	$node->init;
	$node->append_conf('postgresql.conf',
		join("\n", "shared_preload_libraries = 'kafka_fdw'", @settings, ''));
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION kafka_fdw');
	server($node, 'broker', $broker->bootstrap) if $broker;
	return $node;
}

# Creates a foreign server; further arguments are options as SQL.
sub server
{
	my ($node, $name, $bootstrap, @options) = @_;
	my $options = join(', ', "bootstrap_servers '$bootstrap'",
		"delivery 'immediate'", @options);

	$node->safe_psql('postgres',
		"CREATE SERVER $name FOREIGN DATA WRAPPER kafka_fdw OPTIONS ($options)");
}

# Runs a query that is to fail; returns the seconds it took and what psql said.
sub fails
{
	my ($node, $sql) = @_;
	my $start = time();
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	isnt($rc, 0, "fails: $sql");
	return (time() - $start, $err);
}

# Kills the postmaster, and waits until it is gone and its children have noticed:
# only then the memory is free for a new one.
sub kill_server
{
	my ($node) = @_;
	my ($pid) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my $dir = readlink("/proc/$pid/cwd") or die $!;

	$node->kill9;
	wait_for(
		sub {
			!kill(0, $pid) && !grep { (readlink($_) // '') eq $dir } glob('/proc/[0-9]*/cwd');
		}) or die 'a child outlives the postmaster';
	return;
}

# The threads of a process, the main one included.
sub threads
{
	my ($pid) = @_;
	my @tasks = glob("/proc/$pid/task/*");

	return scalar @tasks;
}

# The sockets and pipes that a process has open.
sub descriptors
{
	my ($pid) = @_;
	my @open = grep { (readlink($_) // '') =~ /^(socket|pipe):/ } glob("/proc/$pid/fd/*");

	return scalar @open;
}

# Waits until a condition holds, at most a minute; says whether it does.
sub wait_for
{
	my ($condition) = @_;
	my $end = time() + 60;

	until ($condition->())
	{
		return 0 if time() > $end;
		select(undef, undef, undef, 0.02);
	}
	return 1;
}

# A session that is kept open, so that its backend can be looked at.
sub session
{
	my ($node) = @_;
	my $self = bless { in => '', out => '', err => '', timer => IPC::Run::timeout(180) },
	  __PACKAGE__ . '::Session';

	$self->{psql} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres') ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err},
		$self->{timer});
	($self->{pid}) = $self->run('SELECT pg_backend_pid()');
	return $self;
}

package KafkaCluster::Session;

sub pid { return $_[0]->{pid}; }

# Says whether its backend has stopped, as at a place named by kafka_fdw.stop_at.
sub stopped
{
	my ($self) = @_;

	return PostgreSQL::Test::Utils::slurp_file("/proc/$self->{pid}/stat") =~ /\) T /;
}

# Sends SQL without waiting for its end.
sub send
{
	my ($self, $sql) = @_;

	$self->{timer}->start;    # each command has as long
	$self->{out} = $self->{err} = '';
	$self->{in} .= "$sql\n;\n\\echo -=done=-\n\\warn -=done=-\n";
	$self->{psql}->pump_nb;
	return;
}

# Waits for the end of what was sent; returns output and errors.
sub finish
{
	my ($self) = @_;

	$self->{psql}->pump
	  until $self->{out} =~ /^-=done=-\n/m && $self->{err} =~ /^-=done=-\n/m;
	s/^-=done=-\n//m for $self->{out}, $self->{err};
	chomp $self->{out};
	return ($self->{out}, $self->{err});
}

sub run
{
	my ($self, $sql) = @_;

	$self->send($sql);
	return $self->finish;
}

sub quit
{
	my ($self) = @_;

	$self->{timer}->start;
	$self->{in} .= "\\q\n";
	return $self->{psql}->finish;
}

1;
