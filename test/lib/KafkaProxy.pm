
=pod

=head1 NAME

KafkaProxy - a bad network between PostgreSQL and a broker, for TAP tests

=head1 SYNOPSIS

  use KafkaProxy;

  my $proxy = KafkaProxy->new;
  my $broker = KafkaBroker->new(listeners => [ $proxy->listener ]);
  $proxy->start($broker);

  KafkaCluster::server($node, 'far', $proxy->address);
  $proxy->latency(100);

=head1 DESCRIPTION

A process that takes connections and passes bytes on to the broker's listener
PROXY, which tells clients the proxy's address: there is no other way for them.
How it passes them on can be changed at any time, also for connections that
are there; a method returns when the change is in force.  It ends with the test.

=cut

package KafkaProxy;

use strict;
use warnings;

use Carp;
use Errno qw(EAGAIN EINTR);
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM);
use Time::HiRes qw(time);

my $slice = 0.01;                 # how long it sleeps, in seconds
my $buffer = 256 * 1024;          # bytes that are held for a slow receiver
my %started;

=head1 METHODS

=over

=item KafkaProxy->new

Takes a port; nothing is passed on yet.

=cut

sub new
{
	my ($class) = @_;
	my $listen = IO::Socket::INET->new(
		Listen => 50, LocalAddr => '127.0.0.1', Blocking => 0)
	  or croak "no port: $!";

	return bless { listen => $listen, port => $listen->sockport }, $class;
}

=item $proxy->listener, ->address

What KafkaBroker->new has to know, and where clients find the proxy.

=cut

sub listener { return "PROXY:PLAINTEXT:" . $_[0]->address; }
sub address { return "127.0.0.1:$_[0]->{port}"; }

=item $proxy->start($broker)

=cut

sub start
{
	my ($self, $broker) = @_;
	my ($parent, $child);

	$self->{broker} = $broker->bootstrap('PROXY');
	socketpair($parent, $child, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or croak "socketpair: $!";
	my $pid = fork // croak "fork: $!";
	if ($pid == 0)
	{
		# nothing here may end as a test ends, which would stop server and broker
		close $parent;
		$child->blocking(0);
		eval { _serve($self, $child); 1 } or print STDERR "proxy: $@";
		POSIX::_exit(0);
	}
	close $child;
	$parent->autoflush(1);
	$self->{control} = $parent;
	$started{$pid} = $$;
	return;
}

=item $proxy->pass, ->latency($ms), ->trickle($bytes), ->hole, ->cut($bytes)

How what the broker sends gets to the client: at once; so much later, as what the
client sends; so many bytes a second of each connection; not at all, while
connections stay, and the same the other way; or at once, until so many bytes
more have passed, in the middle of which all connections are reset.

=cut

sub pass { return $_[0]->_tell('pass', 0); }
sub latency { return $_[0]->_tell('latency', $_[1]); }
sub trickle { return $_[0]->_tell('trickle', $_[1]); }
sub hole { return $_[0]->_tell('hole', 0); }
sub cut { return $_[0]->_tell('cut', $_[1]); }

=item $proxy->stale($topic)

Says in each answer that has no messages of partition 0 of the topic that the
offset is out of range, as when the topic was made anew; to clients that do not
know of topics' ids.

=cut

sub stale { return $_[0]->_tell('stale', $_[1]); }

=item $proxy->passed, ->cuts, ->staled

How many bytes have come to clients, how often connections were reset, and how
many answers were said to be out of range.

=back

=cut

sub passed { return (split / /, $_[0]->_tell('count', 0))[0]; }
sub cuts { return (split / /, $_[0]->_tell('count', 0))[1]; }
sub staled { return (split / /, $_[0]->_tell('count', 0))[2]; }

# ---- internals -------------------------------------------------------------

sub _tell
{
	my ($self, $mode, $number) = @_;
	my $control = $self->{control};

	print $control "$mode $number\n";
	my $answer = <$control> // croak 'the proxy has ended';
	chomp $answer;
	return $answer;
}

# The process: a loop that moves bytes between pairs of sockets.  A pair is
# two directions, each with what was read and when it may be written.
sub _serve
{
	my ($self, $control) = @_;
	my %state = (mode => 'pass', number => 0, passed => 0, cuts => 0, staled => 0, pairs => []);

	for (;;)
	{
		my $moved = _obey(\%state, $control);
		return if $moved < 0;
		$moved += _accept(\%state, $self) unless $state{mode} eq 'hole';
		$moved += _move(\%state, $_) foreach @{ $state{pairs} };
		@{ $state{pairs} } = grep { !$_->{closed} } @{ $state{pairs} };
		IO::Select->new($control, $self->{listen})->can_read($slice) unless $moved;
	}
	return;
}

# Takes a line from the test; negative when the test has ended.
sub _obey
{
	my ($state, $control) = @_;
	my $line;

	my $read = sysread $control, $line, 100;
	return $! == EAGAIN || $! == EINTR ? 0 : -1 unless defined $read;
	return -1 if $read == 0;
	my ($mode, $number) = split ' ', $line;
	@$state{qw(mode number)} = ($mode, $number) if $mode ne 'count';
	syswrite $control, "$state->{passed} $state->{cuts} $state->{staled}\n";
	return 1;
}

sub _accept
{
	my ($state, $self) = @_;
	my $client = $self->{listen}->accept or return 0;
	my $broker = IO::Socket::INET->new(PeerAddr => $self->{broker});

	return 1 unless $broker;    # closes the client's connection
	$_->blocking(0) foreach $client, $broker;
	push @{ $state->{pairs} },
	  {
		sockets => [ $client, $broker ],
		directions => [
			{ from => $broker, to => $client, queue => [], bytes => 0, slow => 1, allowed => time },
			{ from => $client, to => $broker, queue => [], bytes => 0, slow => 0 }
		]
	  };
	return 1;
}

# Moves what may be moved now; says whether that was something.
sub _move
{
	my ($state, $pair) = @_;
	my $moved = 0;

	return 0 if $state->{mode} eq 'hole' || $pair->{closed};
	foreach my $direction (@{ $pair->{directions} })
	{
		last if $pair->{closed};
		$moved += _read($state, $pair, $direction);
		$moved += _write($state, $pair, $direction) unless $pair->{closed};
	}
	return $moved;
}

sub _read
{
	my ($state, $pair, $direction) = @_;
	my $data;

	return 0 if $direction->{bytes} >= $buffer || $direction->{ended};
	my $read = sysread $direction->{from}, $data, 65536;
	return 0 if !defined $read && ($! == EAGAIN || $! == EINTR);
	if (!$read)
	{
		$direction->{ended} = 1;
		_close($pair) unless $direction->{bytes};
		return 1;
	}
	_make_stale($state, \$data) if $state->{mode} eq 'stale' && $direction->{slow};
	my $delay = $state->{mode} eq 'latency' ? $state->{number} / 1000 : 0;
	push @{ $direction->{queue} }, [ time + $delay, $data ];
	$direction->{bytes} += $read;
	return 1;
}

# In an answer to a fetch, a partition's number and error are followed by three
# offsets, no aborted transactions, the preferred replica and the size.
sub _make_stale
{
	my ($state, $data) = @_;
	my $partition = pack('n/a* N N', $state->{number}, 1, 0);

	my $stale = pack('n x24', 1);

	$state->{staled} += $$data =~ s/\Q$partition\E\K\0\0\0.{23}(?=(?:\0{4}|\xFF{4})\xFF{4}\0{4})/$stale/gs;
	return;
}

sub _write
{
	my ($state, $pair, $direction) = @_;
	my $first = $direction->{queue}[0] or return 0;
	my $length = length $first->[1];

	return 0 if $first->[0] > time;
	$length = _limit($state, $direction, $length) if $direction->{slow};
	return 0 if $length == 0;
	my $written = syswrite $direction->{to}, $first->[1], $length;
	return 0 if !defined $written && ($! == EAGAIN || $! == EINTR);
	return _close($pair) unless defined $written;
	substr $first->[1], 0, $written, '';
	shift @{ $direction->{queue} } if $first->[1] eq '';
	$direction->{bytes} -= $written;
	_close($pair) if $direction->{ended} && !$direction->{bytes};
	_count($state, $written) if $direction->{slow};
	return 1;
}

# How many bytes may pass to the client now.
sub _limit
{
	my ($state, $direction, $length) = @_;

	if ($state->{mode} eq 'trickle')
	{
		return 0 if $direction->{allowed} > time;
		$direction->{allowed} = time + 1 / $state->{number};
		return 1;
	}
	return $length unless $state->{mode} eq 'cut';
	return $length < $state->{number} ? $length : $state->{number};
}

# Counts bytes that have passed; resets all connections when it is time.
sub _count
{
	my ($state, $written) = @_;

	$state->{passed} += $written;
	return unless $state->{mode} eq 'cut';
	$state->{number} -= $written;
	return if $state->{number} > 0;
	_reset($_) foreach @{ $state->{pairs} };
	$state->{mode} = 'pass';
	$state->{cuts}++;
	return;
}

sub _reset
{
	my ($pair) = @_;

	setsockopt $_, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack('ii', 1, 0)
	  foreach @{ $pair->{sockets} };
	return _close($pair);
}

sub _close
{
	my ($pair) = @_;

	close $_ foreach @{ $pair->{sockets} };
	$pair->{closed} = 1;
	return 1;
}

# The process ends when its control connection does; nobody waits for it.
END
{
	local $?;
	foreach my $pid (grep { $started{$_} == $$ } keys %started)
	{
		kill 'KILL', $pid;
		waitpid $pid, 0;
	}
}

1;
