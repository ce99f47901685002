#!/usr/bin/env python3
"""Makes a day of bike share messages, as Oslo City Bike publishes them.

One GBFS station_status message a line: all stations, every 30 seconds.  Bikes
move between stations: each is docked somewhere or on its way, none is made or
lost.  In the morning they go down to the centre, in the afternoon up again.
The same options give the same messages.
"""

import argparse
import csv
import json
import math
import random
import sys

# trips started an hour, by hour of the day, relative to the busiest hour
BUSY = [.06, .03, .02, .01, .02, .08, .35, .85, 1.0, .55, .35, .35,
        .40, .42, .45, .65, 1.0, .95, .70, .50, .40, .32, .25, .14]
# trips a station starts in the busiest hour
TRIPS_AT_PEAK = 2.0
TIME_ZONE = 2 * 3600            # Oslo in summer, for the hours of BUSY


class Station:
    def __init__(self, number, rng, now):
        self.id = str(number)
        self.capacity = rng.randrange(12, 31)
        self.bikes = rng.randrange(self.capacity // 3, self.capacity * 2 // 3)
        self.height = rng.random()      # 0: centre, 1: up the hills
        self.last_reported = now - rng.randrange(600)
        self.published = self.bikes

    def as_row(self):
        return {
            'station_id': self.id,
            'is_installed': 1,
            'is_renting': 1,
            'is_returning': 1,
            'last_reported': self.last_reported,
            'num_bikes_available': self.bikes,
            'num_docks_available': self.capacity - self.bikes,
        }


class City:
    """All stations, and the bikes that are on their way between them."""

    def __init__(self, stations, start, seed):
        self.rng = random.Random(seed)
        self.now = start
        numbers = self.rng.sample(range(150, 150 + 3 * stations), stations)
        self.stations = [Station(n, self.rng, start) for n in sorted(numbers)]
        self.trips = []                 # (arrival time, destination)
        self.bikes = self.count_bikes()

    def count_bikes(self):
        return sum(s.bikes for s in self.stations) + len(self.trips)

    def advance(self, seconds):
        """Let time pass: bikes arrive and leave."""
        before = self.now
        self.now += seconds
        for station in self.stations:
            station.published = station.bikes
        changed = {}
        arrived = [t for t in self.trips if t[0] <= self.now]
        self.trips = [t for t in self.trips if t[0] > self.now]
        for arrival, station in sorted(arrived, key=lambda t: t[0]):
            self.arrive(max(arrival, before + 1), station, changed)
        for _ in range(self.count_departures(seconds)):
            self.depart(self.rng.randrange(before + 1, self.now + 1), changed)
        for station, time in changed.items():
            if station.bikes != station.published:
                station.last_reported = time

    def count_departures(self, seconds):
        """Draw how many trips start in these seconds (Poisson)."""
        hour = (self.now + TIME_ZONE) % 86400 / 3600
        low = int(hour)
        share = hour - low
        busy = BUSY[low] * (1 - share) + BUSY[(low + 1) % 24] * share
        mean = TRIPS_AT_PEAK * busy * len(self.stations) * seconds / 3600
        limit = math.exp(-mean)
        count = 0
        product = self.rng.random()
        while product > limit:
            count += 1
            product *= self.rng.random()
        return count

    def depart(self, time, changed):
        """A bike leaves a station that has one."""
        origin = self.choose_station(uphill=self.is_morning())
        if origin.bikes == 0:
            return
        origin.bikes -= 1
        changed[origin] = time
        target = self.choose_station(uphill=not self.is_morning())
        duration = max(120, round(self.rng.gauss(700, 250)))
        self.trips.append((time + duration, target))

    def arrive(self, time, station, changed):
        """A bike arrives; at a full station the rider goes on to another."""
        if station.bikes == station.capacity:
            self.trips.append((time + 120, self.rng.choice(self.stations)))
            return
        station.bikes += 1
        changed[station] = time

    def choose_station(self, uphill):
        """Choose one of two at random: more often the right one."""
        pair = self.rng.choice(self.stations), self.rng.choice(self.stations)
        higher = max(pair, key=lambda s: s.height)
        lower = min(pair, key=lambda s: s.height)
        return higher if (self.rng.random() < .6) == uphill else lower

    def is_morning(self):
        return (self.now + TIME_ZONE) % 86400 < 12 * 3600

    def message(self):
        return {
            'last_updated': self.now,
            'ttl': 10,
            'data': {'stations': [s.as_row() for s in self.stations]},
        }


class Checker:
    """Asserts what every series of messages keeps to."""

    def __init__(self, city):
        self.capacities = {s.id: s.capacity for s in city.stations}
        self.rows = None
        self.updated = None

    def check(self, city, text):
        message = json.loads(text)
        rows = {r['station_id']: r for r in message['data']['stations']}
        assert rows.keys() == self.capacities.keys()
        assert city.count_bikes() == city.bikes, 'a bike was made or lost'
        assert '\n' not in text
        for station, row in rows.items():
            bikes, docks = row['num_bikes_available'], row['num_docks_available']
            assert bikes >= 0 and docks >= 0, row
            assert bikes + docks == self.capacities[station], row
            assert row['last_reported'] <= message['last_updated'], row
            if self.rows is not None:
                old = self.rows[station]
                if bikes == old['num_bikes_available']:
                    assert row['last_reported'] == old['last_reported'], row
                else:
                    assert row['last_reported'] > self.updated, row
        self.rows = rows
        self.updated = message['last_updated']


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--stations', type=int, default=250)
    parser.add_argument('--messages', type=int, default=2880)
    parser.add_argument('--interval', type=int, default=30, metavar='SECONDS')
    parser.add_argument('--start', type=int, default=1540159200, metavar='EPOCH',
                        help='last_updated of the first message')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--expect', metavar='FILE',
                        help='write what a reader must find, as JSON')
    parser.add_argument('--changes', metavar='FILE',
                        help='write each change of num_bikes_available, as CSV')
    parser.add_argument('--check', action='store_true',
                        help='check the messages instead of printing them')
    return parser.parse_args()


def main():
    options = parse_arguments()
    city = City(options.stations, options.start, options.seed)
    checker = Checker(city) if options.check else None
    expect = {'messages': 0, 'rows': 0, 'bikes': 0, 'docks': 0, 'changes': 0}
    changes = []

    for number in range(options.messages):
        if number > 0:
            city.advance(options.interval)
            for s in city.stations:
                if s.bikes != s.published:
                    changes.append((city.now, s.id, s.published, s.bikes))
        text = json.dumps(city.message(), separators=(', ', ': '))
        if checker:
            checker.check(city, text)
        else:
            sys.stdout.write(text + '\n')
        docked = sum(s.bikes for s in city.stations)
        expect['messages'] += 1
        expect['rows'] += len(city.stations)
        expect['bikes'] += docked
        expect['docks'] += sum(s.capacity for s in city.stations) - docked
    expect['changes'] = len(changes)

    if options.expect:
        with open(options.expect, 'w') as file:
            json.dump(expect, file)
            file.write('\n')
    if options.changes:
        with open(options.changes, 'w', newline='') as file:
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(('last_updated', 'station_id', 'from', 'to'))
            writer.writerows(changes)
    if options.check:
        print(json.dumps(expect))


if __name__ == '__main__':
    main()
