# Asks the installed fail2ban itself: reads one JSON question from stdin, writes one JSON answer. It holds no rule of its own.
import json
import logging
import os
import signal
import sys
import time

logging.disable(logging.CRITICAL)

from fail2ban.client.filterreader import FilterReader
from fail2ban.client.jailreader import JailReader
from fail2ban.client.jailsreader import JailsReader
from fail2ban.server.filter import Filter, FileContainer
from fail2ban.server.mytime import MyTime
from fail2ban.server.strptime import _updateTimeRE


def text(d):
    return {k: str(v) for k, v in d.items() if v is not None}


def jails(config):
    reader = JailsReader(basedir=config, force_enable=True, share_config={})
    reader.read()
    answer = {}
    for name in reader.sections():
        if name == 'INCLUDES':
            continue
        jail = JailReader(name, force_enable=True, share_config=reader.share_config, use_config=reader._cfg)
        try:
            jail.getOptions()
            flt = jail._JailReader__filter
            out = {'options': text(jail.options), 'filter': text(flt.getCombined()) if flt else None, 'actions': []}
            for action in jail._JailReader__actions:
                if isinstance(action, list):
                    out['actions'].append({'file': os.path.basename(action[4]), 'options': None})
                    continue
                opts = action.getCombined(ignore=set(('matches', 'ipmatches', 'ipjailmatches', 'timeout', 'bantime')))
                out['actions'].append({'file': action.getFile(), 'options': text(opts)})
            answer[name] = out
        except Exception as e:
            answer[name] = {'error': str(e)}
    return answer


def filters(config):
    answer = {}
    for file in sorted(os.listdir(os.path.join(config, 'filter.d'))):
        name, ending = os.path.splitext(file)
        if ending != '.conf':
            continue
        try:
            reader = FilterReader(name, 'test', {}, share_config={}, basedir=config)
            reader.read()
            reader.applyAutoOptions('')
            reader.getOptions(None)
            answer[name] = {'options': text(reader.getCombined())}
        except Exception as e:
            answer[name] = {'error': str(e)}
    return answer


def make(job):
    reader = FilterReader(job['filter'], 'test', dict(job.get('options') or {}), share_config={}, basedir=job['config'])
    if not reader.read():
        raise ValueError('no such filter')
    reader.applyAutoOptions('')
    reader.getOptions(None)
    f = Filter(None)
    f.checkFindTime = False
    f.returnRawHost = True
    if job.get('logtimezone'):
        f.setLogTimeZone(job['logtimezone'])
    for cmd in reader.convert():
        values = cmd[3] if cmd[0] == 'multi-set' else cmd[3:]
        for v in values:
            if cmd[2] == 'prefregex':
                f.prefRegex = v
            elif cmd[2] == 'addfailregex':
                f.addFailRegex(v)
            elif cmd[2] == 'addignoreregex':
                f.addIgnoreRegex(v)
            elif cmd[2] == 'maxlines':
                f.setMaxLines(v)
            elif cmd[2] == 'datepattern':
                f.setDatePattern(v)
            elif cmd[2] == 'usedns':
                f.setUseDns(v)
    return f, (reader.getCombined().get('logtype') or job.get('options', {}).get('logtype')) == 'journal'


def value(v):
    if isinstance(v, tuple):
        return list(v)
    return v


class TooSlow(Exception):
    pass


def too_slow(*_):
    raise TooSlow('took more than two seconds')


def lines(jobs):
    signal.signal(signal.SIGALRM, too_slow)
    answers = []
    for job in jobs:
        os.environ['TZ'] = job.get('tz') or 'UTC'
        time.tzset()
        MyTime.setTime(job['now'])
        _updateTimeRE()
        try:
            f, journal = make(job)
        except Exception as e:
            answers.append({'error': '%s: %s' % (type(e).__name__, e)})
            continue
        state = {'ignored': False}

        def ignored(*_):
            state['ignored'] = True
        f.onIgnoreRegex = ignored
        rows = []
        for line in job['lines']:
            state['ignored'] = False
            raw = line.encode('latin-1') if job.get('bytes') else line.encode('utf-8', 'surrogatepass')
            line = FileContainer.decode_line('', 'utf-8', raw).rstrip('\r\n')
            signal.setitimer(signal.ITIMER_REAL, 2)
            try:
                if journal:
                    found = f.processLine(('', '', line), job['now'])
                else:
                    found = f.processLine(line)
            except Exception as e:
                rows.append({'error': '%s: %s' % (type(e).__name__, e)})
                break
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            row = {'found': [], 'ignored': state['ignored']}
            for idx, fid, date, fail in found:
                groups = {k: value(v) for k, v in fail.items() if isinstance(v, (str, tuple)) or v is None}
                row['found'].append({'host': str(fid), 'ip': str(fail['ip']) if 'ip' in fail else None, 'time': date,
                                     'groups': {k: v for k, v in groups.items() if v is not None and k != 'ip'},
                                     'nofail': bool(fail.get('nofail')), 'regex': idx,
                                     'matches': [''.join(m) for m in fail.get('matches', [])]})
            rows.append(row)
        answers.append({'rows': rows})
    return answers


def seconds(spans):
    answer = []
    for s in spans:
        try:
            answer.append({'seconds': float(MyTime.str2seconds(s))})
        except Exception as e:
            answer.append({'error': str(e)})
    return answer


question = json.load(sys.stdin)
if question['ask'] == 'jails':
    answer = jails(question['config'])
elif question['ask'] == 'seconds':
    answer = seconds(question['spans'])
elif question['ask'] == 'filters':
    answer = filters(question['config'])
else:
    answer = lines(question['jobs'])
json.dump(answer, sys.stdout)
