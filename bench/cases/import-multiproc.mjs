import 'multiproc'
