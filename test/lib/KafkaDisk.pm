
=pod

=head1 NAME

KafkaDisk - a small disk, to be filled up by TAP tests

=head1 SYNOPSIS

  use KafkaDisk;

  my $disk = KafkaDisk->mount('64m') or plan skip_all => KafkaDisk::REASON;
  mkdir $disk->path . '/space';
  $disk->fill(100_000);    # but for so many bytes
  $disk->empty;

=head1 DESCRIPTION

A tmpfs in a mount namespace of a process of its own, which is found from outside
through that process: nobody has to be root, and nothing is left when the test
ends.  What does not fit is a real ENOSPC.

=cut

package KafkaDisk;

use strict;
use warnings;

use Carp;
use POSIX ();
use PostgreSQL::Test::Utils ();

use constant REASON => 'user and mount namespaces, for a small disk, are not to be had here';

=head1 METHODS

=over

=item KafkaDisk->mount($size)

Returns undef where nothing can be mounted.

=cut

sub mount
{
	my ($class, $size) = @_;
	my $place = PostgreSQL::Test::Utils::tempdir();
	my $script = 'mount -t tmpfs -o mode=0700,size=$1 none "$2" && echo mounted && exec cat';

	pipe(my $hold_read, my $hold) or croak $!;
	pipe(my $said, my $say) or croak $!;
	my $pid = fork // croak $!;
	if ($pid == 0)
	{
		open(STDIN, '<&', $hold_read) and open(STDOUT, '>&', $say);
		close $_ foreach $hold, $hold_read, $said, $say;
		{ exec 'unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', $script, 'sh', $size, $place };
		POSIX::_exit(1);
	}
	close $hold_read;
	close $say;
	return if (<$said> // '') ne "mounted\n";
	# it ends when the last one that can write to it does
	return bless { path => "/proc/$pid/root$place", hold => $hold }, $class;
}

=item $disk->path

Where it is.

=cut

sub path { return $_[0]->{path}; }

=item $disk->fill($left)

Leaves so many bytes free, or none.

=cut

sub fill
{
	my ($disk, $left) = @_;
	my $file = "$disk->{path}/filler";
	my $block = "\0" x 4096;

	open(my $filler, '>>', $file) or croak "$file: $!";
	while (defined syswrite($filler, $block)) { }
	croak "$file: $!" unless $!{ENOSPC};
	truncate($filler, (-s $filler) - $left) or croak "$file: $!" if $left;
	close $filler;
	return;
}

=item $disk->empty

Takes back what fill() has put there.

=cut

sub empty { return unlink "$_[0]->{path}/filler"; }

=back

=cut

1;
